"""The numbers of the format (FORMAT.md). Sizes and offsets are in bytes."""

from __future__ import annotations

from typing import Final

HASH_LENGTH: Final = 32
ZERO_HASH: Final = bytes(HASH_LENGTH)
HASH_BLAKE3: Final = 1
U16_MAX: Final = 0xFFFF
U32_MAX: Final = 0xFFFF_FFFF
U64_MAX: Final = 0xFFFF_FFFF_FFFF_FFFF
# No writer reaches it with a sequence or a time: above are numbers for all that may still come.
COUNTER_MAX: Final = 1 << 62

# Header slots (FORMAT.md 2)
HEADER_MAGIC: Final = b"AEOR"
HEADER_VERSION: Final = 3
SLOT_LENGTH: Final = 256
SLOT_COUNT: Final = 2
HEADERS_LENGTH: Final = SLOT_LENGTH * SLOT_COUNT
KV_BLOCK_VERSION: Final = 1
NVT_VERSION: Final = 1
BACKUP_NONE: Final = 0
BACKUP_EXPORT: Final = 1
BACKUP_PATCH: Final = 2

# The spare header bytes (FORMAT.md 2.1)
SPARE_OFFSET: Final = 197
SPARE_LENGTH: Final = 55
SPARE_MAGIC: Final = b"aepy"
SPARE_VERSION: Final = 1
SPARE_CHECKPOINT: Final = 1
SPARE_GROWTH: Final = 2
SPARE_CLEAN: Final = 4
SPARE_DROPS: Final = 8
SPARE_DEAD_PAGES: Final = 16

# Entries (FORMAT.md 3)
ENTRY_MAGIC: Final = b"\xdb\x12\xe0\x0a"
ENTRY_HEADER_LENGTH: Final = 63
ENTRY_KEY_MAX: Final = 1 << 30
ENTRY_VALUE_MAX: Final = 1 << 30
ENTRY_FLAG_SYSTEM: Final = 1
COMPRESSION_NONE: Final = 0
COMPRESSION_ZSTD: Final = 1
ENCRYPTION_NONE: Final = 0

ENTRY_CHUNK: Final = 1
ENTRY_FILE: Final = 2
ENTRY_DIRECTORY: Final = 3
ENTRY_DELETION: Final = 4
ENTRY_SNAPSHOT: Final = 5
ENTRY_VOID: Final = 6
ENTRY_FORK: Final = 7
ENTRY_SYMLINK: Final = 8
ENTRY_TYPES: Final = range(ENTRY_CHUNK, ENTRY_SYMLINK + 1)
ENTRY_NAMES: Final = {
    ENTRY_CHUNK: "chunk",
    ENTRY_FILE: "file record",
    ENTRY_DIRECTORY: "directory",
    ENTRY_DELETION: "deletion",
    ENTRY_SNAPSHOT: "snapshot",
    ENTRY_VOID: "void",
    ENTRY_FORK: "fork",
    ENTRY_SYMLINK: "symlink",
}

# The version of the value's layout that is written (FORMAT.md 3)
FILE_RECORD_VERSION: Final = 1
FILE_RECORD_VERSION_OLD: Final = 0
VALUE_VERSION: Final = 0

# Types of index records (FORMAT.md 4)
KV_CHUNK: Final = 0
KV_FILE: Final = 1
KV_DIRECTORY: Final = 2
KV_DELETION: Final = 3
KV_SNAPSHOT: Final = 4
KV_VOID: Final = 5
KV_FORK: Final = 7
KV_SYMLINK: Final = 9
KV_TYPE_MASK: Final = 0x0F
KV_PENDING: Final = 0x10
KV_DELETED: Final = 0x20
KV_TYPE: Final = {
    ENTRY_CHUNK: KV_CHUNK,
    ENTRY_FILE: KV_FILE,
    ENTRY_DIRECTORY: KV_DIRECTORY,
    ENTRY_DELETION: KV_DELETION,
    ENTRY_SNAPSHOT: KV_SNAPSHOT,
    ENTRY_VOID: KV_VOID,
    ENTRY_FORK: KV_FORK,
    ENTRY_SYMLINK: KV_SYMLINK,
}

# Files and directories (FORMAT.md 3.1, 3.2)
CHUNK_LENGTH: Final = 262_144
PATH_MAX: Final = 65_535
KIND_FILE: Final = 2
KIND_DIRECTORY: Final = 3
KIND_SYMLINK: Final = 8
CHILD_KINDS: Final = frozenset((KIND_FILE, KIND_DIRECTORY, KIND_SYMLINK))
CHILD_FIXED_LENGTH: Final = 77
NODE_LEAF: Final = 0
NODE_INTERNAL: Final = 1
BTREE_THRESHOLD: Final = 256
LEAF_MAX_BULK: Final = 40
LEAF_MAX_INSERT: Final = 39
INTERNAL_MAX_BULK: Final = 77
INTERNAL_MAX_INSERT: Final = 76
SYSTEM_ROOT: Final = "/.aeordb-system"
CONFIG_ROOT: Final = "/.aeordb-config"
SYSTEM_ROOTS: Final = (SYSTEM_ROOT, CONFIG_ROOT)

# Index pages (FORMAT.md 4)
PAGE_MAGIC: Final = 0xAE0D_B905
PAGE_HEADER_LENGTH: Final = 10
PAGE_ENTRY_LENGTH: Final = 45
PAGE_ENTRIES: Final = 32
PAGE_LENGTH: Final = PAGE_HEADER_LENGTH + PAGE_ENTRIES * PAGE_ENTRY_LENGTH
STAGE_LENGTHS: Final = (64 << 10, 512 << 10, 4 << 20, 32 << 20, 128 << 20, 512 << 20, 1 << 30)
# One byte holds the stage, a file offset 63 bits: the block of stage 38 is 2^62 bytes.
STAGE_MAX: Final = 38

# Hot tail (FORMAT.md 5)
HOT_TAIL_MAGIC: Final = b"\xae\x01\x7d\xb1\x0d"
HOT_TAIL_VERSION: Final = 1
HOT_TAIL_HEADER_LENGTH: Final = 18
HOT_TAIL_RECORD_LENGTH: Final = 46
HOT_TAIL_VOID_LENGTH: Final = 13
HOT_TAIL_RECORD_MARK: Final = 1

# Free space (FORMAT.md 5.1, 5.2)
VOID_MIN_LENGTH: Final = ENTRY_HEADER_LENGTH
VOID_MAX_LENGTH: Final = 1 << 30
VOIDS_LISTED_MAX: Final = 4_096
