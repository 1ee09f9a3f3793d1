"""`/system/metrics`: for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response

from aeordb.server.auth import any_key
from aeordb.server.metrics import CONTENT_TYPE, Metrics
from aeordb.server.openapi import fails

router = APIRouter(tags=["system"])


@router.get(
    "/system/metrics",
    dependencies=[Depends(any_key)],
    response_class=Response,
    responses={200: {"content": {CONTENT_TYPE: {"schema": {"type": "string"}}}}, **fails()},
)
async def read_metrics(request: Request) -> Response:
    """Backups, tasks and sizes in Prometheus' text format."""
    metrics: Metrics = request.app.state.metrics
    data = await request.app.state.threads.run(metrics.render)
    return Response(data, media_type=CONTENT_TYPE)
