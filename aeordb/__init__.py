"""Files with their whole history in one `.aeordb` file.

`open` gives a database; everything else public hangs on it. Times are milliseconds since 1970 UTC,
sizes and lengths bytes, hashes `bytes` of 32 (hex where people see them).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from aeordb.backup.export import ExportReport
    from aeordb.backup.importer import ImportReport
    from aeordb.backup.patch import PatchReport
    from aeordb.backup.record import LastBackup
    from aeordb.backup.scheduled import BackupReport
    from aeordb.database.database import Database
    from aeordb.database.database import open_database as open  # noqa: A004
    from aeordb.database.info import info
    from aeordb.database.reading import View
    from aeordb.database.results import (
        Change,
        Fork,
        Info,
        Key,
        LogItem,
        NewKey,
        Snapshot,
        Stat,
        Status,
    )
    from aeordb.database.transaction import Transaction
    from aeordb.errors import (
        AeorDBError,
        BaseMismatchError,
        DamagedError,
        ExistsError,
        IncompleteError,
        LockedError,
        NotADatabaseError,
        NotDurableError,
        NotFoundError,
        PathError,
        StaleError,
        UnauthorizedError,
        UsageError,
    )
    from aeordb.folders.report import GetReport, PutReport, Skipped
    from aeordb.maintenance.findings import Finding, VerifyReport
    from aeordb.maintenance.gc import GcReport
    from aeordb.maintenance.repair import repair
    from aeordb.maintenance.repair_report import (
        ChangedVersion,
        LostPath,
        RebuiltFolder,
        RepairReport,
    )
    from aeordb.maintenance.verify import verify
    from aeordb.progress import Progress

__all__ = [
    "AeorDBError",
    "BackupReport",
    "BaseMismatchError",
    "Change",
    "ChangedVersion",
    "DamagedError",
    "Database",
    "ExistsError",
    "ExportReport",
    "Finding",
    "Fork",
    "GcReport",
    "GetReport",
    "ImportReport",
    "IncompleteError",
    "Info",
    "Key",
    "LastBackup",
    "LockedError",
    "LogItem",
    "LostPath",
    "NewKey",
    "NotADatabaseError",
    "NotDurableError",
    "NotFoundError",
    "PatchReport",
    "PathError",
    "Progress",
    "PutReport",
    "RebuiltFolder",
    "RepairReport",
    "Skipped",
    "Snapshot",
    "StaleError",
    "Stat",
    "Status",
    "Transaction",
    "UnauthorizedError",
    "UsageError",
    "VerifyReport",
    "View",
    "__version__",
    "info",
    "open",
    "repair",
    "verify",
]

_MODULES = {
    "Database": "aeordb.database.database",
    "View": "aeordb.database.reading",
    "Transaction": "aeordb.database.transaction",
    "Progress": "aeordb.progress",
    **dict.fromkeys(
        ("Change", "Fork", "Info", "Key", "LogItem", "NewKey", "Snapshot", "Stat", "Status"),
        "aeordb.database.results",
    ),
    "ExportReport": "aeordb.backup.export",
    "ImportReport": "aeordb.backup.importer",
    "PatchReport": "aeordb.backup.patch",
    "BackupReport": "aeordb.backup.scheduled",
    "GcReport": "aeordb.maintenance.gc",
    "LastBackup": "aeordb.backup.record",
    **dict.fromkeys(("Finding", "VerifyReport"), "aeordb.maintenance.findings"),
    **dict.fromkeys(
        ("ChangedVersion", "LostPath", "RebuiltFolder", "RepairReport"),
        "aeordb.maintenance.repair_report",
    ),
    "repair": "aeordb.maintenance.repair",
    "verify": "aeordb.maintenance.verify",
    **dict.fromkeys(("GetReport", "PutReport", "Skipped"), "aeordb.folders.report"),
}


def __getattr__(name: str) -> Any:
    """Imports what is asked for: `aeordb --version` must not wait for all of it."""
    from importlib import import_module

    if name == "open":
        value = import_module("aeordb.database.database").open_database
    elif name == "info":
        value = import_module("aeordb.database.info").info
    elif name in __all__:
        value = getattr(import_module(_MODULES.get(name, "aeordb.errors")), name)
    else:
        raise AttributeError(f"module 'aeordb' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
