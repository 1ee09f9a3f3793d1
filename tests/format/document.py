"""Reads the tables of FORMAT.md, and decodes values by what these tables say."""

from importlib.resources import files

Row = tuple[str, ...]

TEXT = files("aeordb.format").joinpath("FORMAT.md").read_text(encoding="utf-8")


def tables() -> list[tuple[str, Row, list[Row]]]:
    """Every table: the last line of text before it, its column names, its rows."""
    found: list[tuple[str, Row, list[Row]]] = []
    before = ""
    lines = iter(TEXT.splitlines())
    for line in lines:
        if not line.startswith("|"):
            before = line or before
            continue
        head = cells(line)
        next(lines)
        rows = []
        for row in lines:
            if not row.startswith("|"):
                break
            rows.append(cells(row))
        found.append((before, head, rows))
    return found


def cells(line: str) -> Row:
    return tuple(cell.strip() for cell in line.strip().strip("|").split("|"))


def table(before: str, *columns: str) -> list[Row]:
    """The one table with these first columns behind a line that contains `before`."""
    hits = [
        rows for text, head, rows in tables() if before in text and head[: len(columns)] == columns
    ]
    assert len(hits) == 1, (before, len(hits))
    return hits[0]


class Reader:
    """Decodes a value by the `type` column of a table in FORMAT.md; knows nothing of the codecs."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.offset = 0
        self.count = 0  # of the names that stood before: the keys that follow are one more

    def take(self, length: int) -> bytes:
        part = self.raw[self.offset : self.offset + length]
        assert len(part) == length
        self.offset += length
        return part

    def number(self, kind: str) -> int:
        length = int(kind[1:]) // 8
        return int.from_bytes(self.take(length), "little", signed=kind[0] == "i")

    def row(self, kinds: str) -> object:
        n = 0
        value: object = None
        for kind in kinds.split(", "):
            name, _, rest = kind.partition(" ")
            if name in ("u8", "u16", "u32", "u64", "i64"):
                n = self.number(name)
                value = n
            elif name == "text":
                value = self.take(n).decode()
            elif name == "bytes":
                value = self.take(n)
            elif name == "hash" and not rest:
                value = self.take(32)
            elif name == "hash":
                value = [self.take(32) for _ in range(self.count + 1 if rest == "* n+1" else n)]
            elif name == "name":
                value = [self.take(self.number("u16")).decode() for _ in range(n)]
                self.count = n
            elif name == "child":
                value = [self.rows(table("child entry", "type", "field")) for _ in range(n)]
            else:
                raise AssertionError(f"FORMAT.md: unknown type {kind!r}")
        return value

    def rows(self, rows: list[Row]) -> dict[str, object]:
        return {row[1]: self.row(row[0]) for row in rows}
