"""Content types: guessed from a file's extension, and which of them are compressed already.

The table is our own, not the system's or the standard library's: a file's identity key holds its
content type (FORMAT.md 3.1), so the same file must get the same one on every machine.
"""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = "application/octet-stream"

_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN = "application/vnd.oasis.opendocument."

_TABLE: Final[dict[str, str]] = {
    "7z": "application/x-7z-compressed",
    "aac": "audio/aac",
    "aif aiff": "audio/aiff",
    "apk": "application/vnd.android.package-archive",
    "avi": "video/x-msvideo",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "br": "application/x-brotli",
    "bz2": "application/x-bzip2",
    "c h": "text/x-c",
    "cc cpp cxx hh hpp": "text/x-c++",
    "conf ini log text txt": "text/plain",
    "css": "text/css",
    "csv": "text/csv",
    "deb": "application/vnd.debian.binary-package",
    "doc": "application/msword",
    "docx": _OFFICE + "wordprocessingml.document",
    "epub": "application/epub+zip",
    "flac": "audio/flac",
    "gif": "image/gif",
    "go": "text/x-go",
    "gz tgz": "application/gzip",
    "heic": "image/heic",
    "heif": "image/heif",
    "htm html": "text/html",
    "ico": "image/x-icon",
    "ics": "text/calendar",
    "jar": "application/java-archive",
    "java": "text/x-java",
    "jp2": "image/jp2",
    "jpe jpeg jpg": "image/jpeg",
    "js mjs": "text/javascript",
    "json": "application/json",
    "jsonl ndjson": "application/x-ndjson",
    "jxl": "image/jxl",
    "lz4": "application/x-lz4",
    "lzma": "application/x-lzma",
    "m4a": "audio/mp4",
    "markdown md": "text/markdown",
    "mid midi": "audio/midi",
    "mkv": "video/x-matroska",
    "mov qt": "video/quicktime",
    "mp3": "audio/mpeg",
    "m4v mp4": "video/mp4",
    "mpeg mpg": "video/mpeg",
    "odp": _OPEN + "presentation",
    "ods": _OPEN + "spreadsheet",
    "odt": _OPEN + "text",
    "oga ogg": "audio/ogg",
    "ogv": "video/ogg",
    "opus": "audio/opus",
    "otf": "font/otf",
    "parquet": "application/vnd.apache.parquet",
    "pdf": "application/pdf",
    "php": "text/x-php",
    "png": "image/png",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": _OFFICE + "presentationml.presentation",
    "ps": "application/postscript",
    "py pyi": "text/x-python",
    "rar": "application/vnd.rar",
    "rb": "text/x-ruby",
    "rpm": "application/x-rpm",
    "rs": "text/x-rust",
    "rtf": "application/rtf",
    "sh": "application/x-sh",
    "sql": "application/sql",
    "sqlite sqlite3": "application/vnd.sqlite3",
    "svg": "image/svg+xml",
    "svgz": "image/svg+xml-compressed",
    "tar": "application/x-tar",
    "tif tiff": "image/tiff",
    "toml": "application/toml",
    "ts": "text/x-typescript",
    "tsv": "text/tab-separated-values",
    "ttf": "font/ttf",
    "wasm": "application/wasm",
    "wav": "audio/wav",
    "weba": "audio/webm",
    "webm": "video/webm",
    "webp": "image/webp",
    "whl zip": "application/zip",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "xhtml": "application/xhtml+xml",
    "xls": "application/vnd.ms-excel",
    "xlsx": _OFFICE + "spreadsheetml.sheet",
    "xml": "application/xml",
    "xz": "application/x-xz",
    "yaml yml": "application/yaml",
    "zst": "application/zstd",
}
_BY_EXTENSION: Final = {ext: kind for exts, kind in _TABLE.items() for ext in exts.split()}

_COMPRESSED_FAMILIES: Final = ("image/", "video/", "audio/", _OFFICE, _OPEN)
_RAW: Final = frozenset(
    {
        "audio/aiff",
        "audio/basic",
        "audio/l16",
        "audio/midi",
        "audio/wav",
        "audio/x-aiff",
        "audio/x-wav",
        "image/bmp",
        "image/svg+xml",
        "image/tiff",
        "image/vnd.adobe.photoshop",
        "image/x-icon",
        "image/x-ms-bmp",
        "image/x-portable-anymap",
        "image/x-portable-bitmap",
        "image/x-portable-graymap",
        "image/x-portable-pixmap",
    }
)
_COMPRESSED: Final = frozenset(
    {
        "application/epub+zip",
        "application/gzip",
        "application/java-archive",
        "application/vnd.android.package-archive",
        "application/vnd.debian.binary-package",
        "application/vnd.rar",
        "application/x-7z-compressed",
        "application/x-brotli",
        "application/x-bzip",
        "application/x-bzip2",
        "application/x-gzip",
        "application/x-lz4",
        "application/x-lzma",
        "application/x-rar-compressed",
        "application/x-rpm",
        "application/x-xz",
        "application/x-zip-compressed",
        "application/zip",
        "application/zstd",
        "font/woff",
        "font/woff2",
    }
)


def guess(name: str) -> str:
    """The content type that a file's name or path suggests; `UNKNOWN` for no known extension."""
    _, dot, extension = name[name.rfind("/") + 1 :].rpartition(".")
    return _BY_EXTENSION.get(extension.lower(), UNKNOWN) if dot else UNKNOWN


def is_compressed(content_type: str) -> bool:
    """Whether bytes of this type are compressed already, so that zstd would be wasted on them."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in _COMPRESSED:
        return True
    return kind.startswith(_COMPRESSED_FAMILIES) and kind not in _RAW
