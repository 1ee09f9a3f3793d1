"""Mistakes that one line of ours could hold, and which check must find each.

`old` occurs exactly once in its file, and `new` stands in its place in the planted code. The
checks are arguments for pytest: files, or single tests; the first that fails has caught it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """One planted mistake."""

    name: str
    file: str
    old: str
    new: str
    checks: tuple[str, ...]


def bug(name: str, file: str, old: str, new: str, *checks: str) -> Bug:
    return Bug(name, file, old, new, tuple(f"tests/{check}" for check in checks))


CUTS = "crash/test_cuts.py::test_cut_at_any_call"

COMMIT = (
    bug(
        "sync-before-slot-skipped",
        "aeordb/storage/commit.py",
        "        self._write_ahead(region[0] + region[1])\n        self.file.sync()\n",
        "        self._write_ahead(region[0] + region[1])\n",
        f"{CUTS}[put-close]",
    ),
    bug(
        "sync-after-slot-skipped",
        "aeordb/storage/commit.py",
        "self.file.write(slot * c.SLOT_LENGTH, header.encode())\n        self.file.sync()\n",
        "self.file.write(slot * c.SLOT_LENGTH, header.encode())\n",
        f"{CUTS}[put-close]",
        f"{CUTS}[overwrite-close]",
    ),
    bug(
        "slot-before-data",
        "aeordb/storage/commit.py",
        "        self.file.write(region[0], tail)\n",
        "        self.file.sync()\n        self.file.write(region[0], tail)\n"
        "        self.flip(head, region, voids, blake3(tail), layout, table)\n        return\n",
        f"{CUTS}[put-close]",
    ),
    bug(
        "wrong-slot",
        "aeordb/storage/commit.py",
        "        slot = 1 - state.slot\n",
        "        slot = state.slot\n",
        f"{CUTS}[put-close]",
    ),
    bug(
        "sequence-not-raised",
        "aeordb/storage/commit.py",
        "sequence=old.sequence + 1",
        "sequence=old.sequence",
        "storage/test_commit.py::test_sequences_take_turns_between_the_slots",
    ),
    bug(
        "append-over-the-live-tail",
        "aeordb/storage/commit.py",
        "        self.append_at = self.state.region_end\n",
        "        self.append_at = self.state.log_end\n",
        f"{CUTS}[put-close]",
    ),
    bug(
        "room-of-moved-entries-free-too-early",
        "aeordb/storage/commit.py",
        "        self._freed.append((start, end - start))\n",
        "        self.voids.add(start, end - start)\n",
        "crash/test_cuts.py::test_cut_at_any_call_of_a_growth[past-the-edge]",
    ),
    bug(
        "void-entries-not-written",
        "aeordb/storage/commit.py",
        "        self.write_voids()\n        region, voids = self._place_tail(table)\n",
        "        region, voids = self._place_tail(table)\n",
        "storage/test_commit.py::test_every_commit_leaves_a_good_file",
    ),
    bug(
        "given-up-room-passes-for-void",
        "aeordb/storage/commit.py",
        "        self.voids.unsettle(unsettled)\n",
        "",
        "database/test_group.py",
        "crash/test_full_disk.py",
        f"{CUTS}[in-voids-close]",
        "contract",
    ),
    bug(
        "entries-not-counted",
        "aeordb/storage/store.py",
        "            log.entry_count += writer.new_keys\n",
        "",
        "storage/test_commit.py::test_the_header_counts_the_entries",
    ),
    bug(
        "void-remainder-too-short",
        "aeordb/storage/voids.py",
        "(length + c.VOID_MIN_LENGTH, 0)",
        "(length + 1, 0)",
        "storage/test_voids.py",
    ),
    bug(
        "failed-sync-forgotten",
        "aeordb/storage/datafile.py",
        'self.broken = f"an earlier sync failed ({error.strerror or error})"',
        "self.broken = None",
        "crash/test_faults.py::test_every_fault[put]",
    ),
    bug(
        "short-write-taken-for-whole",
        "aeordb/storage/datafile.py",
        "            if done < length:\n",
        "            if done < 0:\n",
        "crash/test_faults.py::test_every_fault[put]",
        "storage/test_datafile.py",
    ),
    bug(
        "times-do-not-rise",
        "aeordb/storage/writer.py",
        "first = max(self.now(), self._log.last_time + 1)\n"
        "        self._log.last_time = first + len(keys) - 1\n        frames",
        "first = self.now()\n        self._log.last_time = first + len(keys) - 1\n        frames",
        "crash/test_takeover_cuts.py::test_times_go_on_rising_where_the_clock_is_far_behind",
    ),
    bug(
        "dedup-upside-down",
        "aeordb/storage/writer.py",
        "            if there:\n                self._queued_bytes -=",
        "            if not there:\n                self._queued_bytes -=",
        "database/test_transaction.py",
    ),
    bug(
        "tail-trusted-without-its-hash",
        "aeordb/storage/state.py",
        "if len(raw) != length or blake3(raw) != header.spare.region_hash:",
        "if len(raw) != length:",
        "storage/test_recovery.py::test_a_tail_that_changes_under_the_reader_is_read_again",
        "maintenance/test_verify_flips.py::test_every_byte_of_slots_log_and_hot_tail",
    ),
)

RECOVERY = (
    bug(
        "clean-flag-left-standing",
        "aeordb/storage/recovery.py",
        "layout = Layout(spare.flags & ~c.SPARE_CLEAN, spare.batch_count)",
        "layout = Layout(spare.flags, spare.batch_count)",
        f"{CUTS}[put-close]",
        f"{CUTS}[given-up-close]",
        "storage/test_commit.py",
    ),
    bug(
        "clean-flag-believed-of-anybody",
        "aeordb/storage/recovery.py",
        "    if state.flags & c.SPARE_CLEAN:\n        log.reset()\n",
        "    if True:\n        log.reset()\n",
        "storage/test_recovery.py",
    ),
    bug(
        "live-slot-not-written-again",
        "aeordb/storage/recovery.py",
        "    log.file.write(state.slot * c.SLOT_LENGTH, state.header.encode())\n",
        "",
        "crash/test_failed_syncs.py",
    ),
    bug(
        "bad-slot-left-standing",
        "aeordb/storage/recovery.py",
        "    if state.other is None:\n",
        "    if False:\n",
        "storage/test_recovery.py::test_a_bad_other_slot_becomes_zeros",
    ),
    bug(
        "close-cuts-the-tail",
        "aeordb/storage/recovery.py",
        "    log.file.truncate(state.region_end)\n    log.file.sync()\n    if log",
        "    log.file.truncate(state.log_end)\n    log.file.sync()\n    if log",
        f"{CUTS}[close-close]",
    ),
    bug(
        "close-marked-before-it-is-synced",
        "aeordb/storage/recovery.py",
        "    log.file.truncate(state.region_end)\n    log.file.sync()\n    if log.reopened",
        "    log.file.truncate(state.region_end)\n    if log.reopened",
        "crash/test_clean_marks.py",
    ),
    bug(
        "collected-space-reused-at-once",
        "aeordb/storage/recovery.py",
        "    log.frozen = state.voids\n    log.reset()\n    log.file.truncate(",
        "    log.reset()\n    log.file.truncate(",
        "storage/test_recovery.py",
        "crash/test_takeover_cuts.py",
    ),
    bug(
        "checkpoint-counts-one-too-few",
        "aeordb/storage/checkpoint.py",
        "    batch = len(plan.lead_records) // c.HOT_TAIL_RECORD_LENGTH\n",
        "    batch = max(0, len(plan.lead_records) // c.HOT_TAIL_RECORD_LENGTH - 1)\n",
        "maintenance/test_gc.py",
        "crash/test_gc_cuts.py",
    ),
    bug(
        "full-pages-forgotten",
        "aeordb/storage/checkpoint.py",
        "    log.commit(Table.from_records(state.rest), header.head, layout)\n",
        "    log.commit(Table(), header.head, layout)\n",
        "storage/test_commit.py::test_a_bulk_put_is_read_back_from_pages_and_overflow",
    ),
    bug(
        "pages-written-before-the-flag",
        "aeordb/storage/checkpoint.py",
        "    log.commit(table, head, Layout(flags, batch))\n",
        "    write_pages(log, plan.lead_records, log.state.header.pages, drops=drops)\n"
        "    log.commit(table, head, Layout(flags, batch))\n",
        "crash/test_cuts.py::test_cut_at_any_call_of_a_checkpoint",
    ),
    bug(
        "flag-without-the-batch",
        "aeordb/storage/view.py",
        "covered = mark(state.batch, header.pages)",
        "covered = None",
        "crash/test_cuts.py::test_cut_at_any_call_of_a_checkpoint",
    ),
    bug(
        "growth-flag-forgotten",
        "aeordb/storage/growth.py",
        "flags = c.SPARE_CHECKPOINT | c.SPARE_GROWTH | (",
        "flags = c.SPARE_CHECKPOINT | (",
        "crash/test_cuts.py::test_cut_at_any_call_of_a_growth[small]",
        "storage/test_commit.py",
    ),
    bug(
        "no-room-for-a-void-at-the-edge",
        "aeordb/storage/growth.py",
        "if offset == edge or offset >= edge + c.VOID_MIN_LENGTH:",
        "if offset >= edge:",
        "storage/test_commit.py::test_growth_with_entries_at_every_distance_from_the_edge",
    ),
    bug(
        "new-block-not-cleared",
        "aeordb/storage/checkpoint.py",
        "    log.write_zeros(c.HEADERS_LENGTH, length)\n",
        "",
        "crash/test_cuts.py::test_cut_at_any_call_of_a_growth[small]",
        "storage/test_commit.py",
    ),
)

NAMES = (
    bug(
        "new-database-named-before-it-is-synced",
        "aeordb/storage/create.py",
        "    file.write(0, header.encode())\n    file.sync()\n",
        "    file.write(0, header.encode())\n",
        "crash/test_cuts.py::test_cut_while_a_database_is_made",
    ),
    bug(
        "folder-sync-forgotten",
        "aeordb/storage/datafile.py",
        "        _layer.rename_noreplace(source, target)\n"
        "        _layer.fsync_folder(folder_of(target))\n",
        "        _layer.rename_noreplace(source, target)\n",
        "crash/test_cuts.py::test_cut_while_a_database_is_made",
    ),
    bug(
        "folder-sync-forgotten-after-a-replace",
        "aeordb/storage/datafile.py",
        "        _layer.replace(source, target)\n        _layer.fsync_folder(folder_of(target))\n",
        "        _layer.replace(source, target)\n",
        "crash/test_gc_cuts.py::test_cut_at_any_call_of_a_compact",
    ),
    bug(
        "rename-over-what-is-there",
        "aeordb/storage/datafile.py",
        "_RENAME_NOREPLACE = 1\n",
        "_RENAME_NOREPLACE = 0\n",
        "storage/test_datafile.py::test_a_new_name_never_covers_another_file",
    ),
    bug(
        "export-not-synced",
        "aeordb/backup/sink.py",
        "        self._file.write(0, header.encode())\n        self._file.sync()\n",
        "        self._file.write(0, header.encode())\n",
        "crash/test_repair_cuts.py",
        "crash/test_gc_cuts.py::test_cut_at_any_call_of_a_compact",
    ),
    bug(
        "half-made-export-left",
        "aeordb/backup/sink.py",
        "                    discard(name)\n",
        "                    pass\n",
        "crash/test_faults.py::test_every_fault[export]",
    ),
    bug(
        "lock-shared-by-writers",
        "aeordb/storage/locks.py",
        "fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)",
        "storage/test_locks.py::test_a_second_writer_is_told_the_firsts_process_id_at_once",
    ),
    bug(
        "hard-links-not-locked",
        "aeordb/storage/store.py",
        "                self._lock.take_inode(self._fd)\n",
        "",
        "storage/test_locks.py::test_no_other_name_of_the_file_gets_a_second_writer",
    ),
    bug(
        "reader-does-not-ask-again",
        "aeordb/storage/view.py",
        "            if read_header(self._fd, self.path).sequence != newest.header.sequence:\n",
        "            if False:\n",
        "storage/test_commit.py::test_a_view_asks_again_when_the_writer_was_faster",
    ),
    bug(
        "reader-takes-a-grown-blocks-pages",
        "aeordb/storage/view.py",
        "            if self._lock is None or self._settled():\n",
        "            if True:\n",
        "contract/test_readers.py",
        "storage/test_commit.py",
    ),
)

COLLECTING = (
    bug(
        "gc-forgets-forks",
        "aeordb/maintenance/reach.py",
        '    c.KV_FORK: ("fork", ForkRecord),\n',
        "",
        "maintenance/test_gc.py::test_forks_and_the_root_key_survive",
    ),
    bug(
        "gc-forgets-snapshots",
        "aeordb/maintenance/reach.py",
        'if root.kind != "HEAD"]\n',
        'if root.kind == "fork"]\n',
        "maintenance/test_gc.py::test_a_deleted_snapshot_frees_only_what_it_alone_held",
        "maintenance/test_gc.py",
    ),
    bug(
        "gc-forgets-system-roots",
        "aeordb/maintenance/reach.py",
        "    for root in roots.system:\n        _mark_system(index, root, marks)\n",
        "",
        "maintenance/test_gc.py::test_forks_and_the_root_key_survive",
    ),
    bug(
        "gc-takes-aeordbs-own-records",
        "aeordb/maintenance/reach.py",
        "marks.add_kinds(index, _KEPT_KINDS, own=True, pages=pages)",
        "marks.add_kinds(index, _KEPT_KINDS, own=False, pages=pages)",
        "maintenance/test_gc.py::test_files_of_aeordbs",
    ),
    bug(
        "gc-frees-the-pending-patch",
        "aeordb/backup/importer.py",
        "                    snapshot = name_imported(writer, root)\n",
        "                    snapshot = None\n",
        "maintenance/test_gc.py::test_an_import_without_promote_survives",
    ),
    bug(
        "gc-leaves-older-entries-in-pages",
        "aeordb/maintenance/gc.py",
        "        replace_older(log)\n",
        "",
        "maintenance/test_gc_overlay.py",
    ),
    bug(
        "gc-frees-deletions-first",
        "aeordb/maintenance/sweep.py",
        "        if room.deletions:\n",
        "        if False:\n",
        "maintenance/test_gc.py::test_what_was_deleted_stays_so_when_the_index_is_rebuilt",
        "crash/test_gc_cuts.py",
    ),
    bug(
        "gc-puts-its-tail-into-unlisted-room",
        "aeordb/maintenance/sweep.py",
        "    log.voids = _RoundVoids(log.voids.extents(), listed)\n    log.commit(table, head)\n",
        "    log.voids = VoidMap([*keep, *end])\n    log.commit(table, head)\n",
        "crash/test_gc_end_cuts.py",
        "crash/test_gc_cuts.py",
        "maintenance/test_gc.py",
    ),
    bug(
        "gc-cuts-before-the-header",
        "aeordb/maintenance/sweep.py",
        "    log.voids = VoidMap([*keep, (last.offset, at - last.offset)])\n",
        "    log.voids = VoidMap([*keep, (last.offset, at - last.offset)])\n"
        "    log.file.truncate(at)\n",
        "crash/test_gc_end_cuts.py",
    ),
    bug(
        "gc-punches-before-the-header",
        "aeordb/maintenance/sweep.py",
        "    if last is None:\n        log.voids = VoidMap(log.state.voids)\n",
        "    if last is not None:\n"
        "        log.write_zeros(last.offset, log.state.region_end - last.offset)\n"
        "    if last is None:\n        log.voids = VoidMap(log.state.voids)\n",
        "crash/test_gc_end_cuts.py",
    ),
    bug(
        "compact-ignores-readers",
        "aeordb/storage/store.py",
        "        with ExclusiveLock(self.path, old.fd, VIEW_BYTE, patience):\n",
        "        if True:\n",
        "maintenance/test_compact.py",
    ),
    bug(
        "retention-keeps-one-too-few",
        "aeordb/backup/retention.py",
        "candidates = mine[keep:]",
        "candidates = mine[keep - 1 :]",
        "backup/test_retention.py::test_the_newest_stay",
    ),
    bug(
        "retention-takes-what-others-made",
        "aeordb/backup/retention.py",
        "if file.label == label and own(file)]",
        "if file.label == label]",
        "backup/test_retention.py::test_what_others_made_stays",
    ),
    bug(
        "retention-takes-the-base-of-a-patch",
        "aeordb/backup/retention.py",
        "    needed = [file.base for file in staying if file.base is not None]\n",
        "    needed: list[bytes] = []\n",
        "backup/test_retention.py::test_what_a_kept_patch_needs_stays",
    ),
    bug(
        "backup-not-read-back",
        "aeordb/backup/scheduled.py",
        "            recheck(unchecked, report.version, report.base, "
        "jobs=self.jobs, progress=self.progress)\n",
        "",
        "backup/test_retention.py::test_nothing_goes_before_the_new_file_read_back_well",
    ),
)

BACKUPS = (
    bug(
        "import-takes-dot-dot",
        "aeordb/backup/check.py",
        'name in (".", "..")',
        'name == "."',
        "backup/test_hostile.py::test_lies_are_refused_and_leave_the_database_as_it_was",
    ),
    bug(
        "import-passes-over-missing-folders",
        "aeordb/backup/check.py",
        "            self.result.holes.add(c.ENTRY_DIRECTORY, child.hash, path)\n",
        "",
        "backup/test_hostile.py::test_a_folder_that_is_missing_is_counted_and_named",
    ),
    bug(
        "import-passes-over-missing-chunks",
        "aeordb/backup/files.py",
        "            if layer == NOWHERE:\n                file = listed",
        "            if False:\n                file = listed",
        "backup/test_hostile.py::test_lies_are_refused_and_leave_the_database_as_it_was",
        "backup/test_import.py",
    ),
    bug(
        "import-believes-a-nodes-key",
        "aeordb/backup/nodes.py",
        "            if node_key(entry.value) != key:\n",
        "            if False:\n",
        "backup/test_hostile.py::test_lies_are_refused_and_leave_the_database_as_it_was",
    ),
    bug(
        "import-believes-a-chunks-key",
        "aeordb/backup/chunks.py",
        "        if hashes[place * 32 : place * 32 + 32] != items[i].key:\n",
        "        if False:\n",
        "backup/test_hostile.py::test_lies_are_refused_and_leave_the_database_as_it_was",
    ),
    bug(
        "import-believes-a-packed-chunks-key",
        "aeordb/backup/chunks.py",
        "    if hashers[0].digest() != item.key:\n",
        "    if False:\n",
        "backup/test_hostile.py::test_lies_are_refused_and_leave_the_database_as_it_was",
    ),
    bug(
        "import-takes-a-record-of-another-path",
        "aeordb/backup/files.py",
        "        if record.path != path.encode():\n",
        "        if False:\n",
        "backup/test_hostile.py::test_lies_are_refused_and_leave_the_database_as_it_was",
    ),
    bug(
        "import-takes-the-future",
        "aeordb/backup/check.py",
        "        if result.newest > limit:\n",
        "        if False:\n",
        "backup/test_hostile.py::test_lies_are_refused_and_leave_the_database_as_it_was",
        "backup/test_hostile.py",
    ),
    bug(
        "patch-onto-another-base",
        "aeordb/backup/importer.py",
        "            if source.base is not None and source.base != (",
        "            if False and source.base != (",
        "backup/test_import.py::test_a_patch_needs_its_base",
    ),
    bug(
        "older-metadata-wins",
        "aeordb/backup/files.py",
        "return new.updated > old.updated and",
        "return",
        "backup/test_import.py::test_newer_metadata_comes_in_and_older_does_not",
    ),
    bug(
        "export-holds-secrets",
        "aeordb/backup/privileged.py",
        "            if child.name in SECRETS or stored_name_fault(child.name):\n",
        "            if stored_name_fault(child.name):\n",
        "backup/test_export_privileged.py",
    ),
    bug(
        "patch-without-deletions",
        "aeordb/backup/patch.py",
        "            elif new is None and old is not None:\n",
        "            elif False:\n",
        "backup/test_patch.py",
    ),
    bug(
        "diff-passes-over-touched-symlinks",
        "aeordb/tree/diff.py",
        "        elif _FACTS(old) != _FACTS(new):\n",
        "        elif old.kind == c.KIND_FILE and _FACTS(old) != _FACTS(new):\n",
        "tree/test_diff.py",
    ),
    bug(
        "diff-passes-over-deletes",
        "aeordb/tree/diff.py",
        '            yield Change("deleted", path, old, None)\n',
        "            pass\n",
        "tree/test_diff.py",
    ),
    bug(
        "results-out-of-order",
        "aeordb/parallel/threads.py",
        "            while waiting:\n                yield waiting.popleft().result()\n",
        "            while waiting:\n                yield waiting.pop().result()\n",
        "parallel/test_threads.py",
    ),
)

TREE = (
    bug(
        "tree-separators-shifted",
        "aeordb/tree/btree.py",
        "encode_internal([ref.low for ref in part[1:]], keys)",
        "encode_internal([ref.low for ref in part[:-1]], keys)",
        "tree/test_directory.py",
    ),
    bug(
        "tree-name-equal-to-a-separator-goes-left",
        "aeordb/tree/btree.py",
        "end = bisect_left(edits, node.names[number], start, key=itemgetter(0))",
        "end = bisect_right(edits, node.names[number], start, key=itemgetter(0))",
        "tree/test_directory.py",
    ),
    bug(
        "leaf-halves-exchanged",
        "aeordb/tree/btree.py",
        "runs[at : at + 1] = [run[:half], run[half:]]",
        "runs[at : at + 1] = [run[half:], run[:half]]",
        "tree/test_directory.py",
    ),
    bug(
        "paths-in-lower-case",
        "aeordb/tree/paths.py",
        "    return check_limits(TreePath(path), text)\n",
        "    return check_limits(TreePath(path.lower()), text)\n",
        "tree/test_paths.py",
    ),
    bug(
        "system-folders-take-a-put",
        "aeordb/tree/paths.py",
        "    if is_system(path):\n        raise PathError",
        "    if False:\n        raise PathError",
        "tree/test_edit.py",
    ),
    bug(
        "chunk-address-not-checked",
        "aeordb/tree/reading.py",
        "        _address(_CHUNK_BASE, CHUNK_PREFIX, raw) != key\n",
        "        False\n",
        "tree/test_reading.py",
    ),
    bug(
        "content-hash-not-checked",
        "aeordb/tree/reading.py",
        "    if hasher is not None and hasher.digest() != record.content_hash:\n",
        "    if False:\n",
        "tree/test_reading.py",
    ),
    bug(
        "packed-though-it-saves-nothing",
        "aeordb/tree/chunking.py",
        "return packed_length * 8 <= raw_length * 7",
        "return packed_length <= raw_length",
        "tree/test_chunking.py",
    ),
    bug(
        "get-follows-symlinks",
        "aeordb/folders/target.py",
        "        self._fds.append(os.open(name, OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=here))\n",
        "        self._fds.append(os.open(name, OPEN_FOLDER, dir_fd=here))\n",
        "folders/test_get.py",
    ),
    bug(
        "last-door-open",
        "aeordb/folders/target.py",
        'name in (b".", b"..") or b"/" in name',
        'name == b"."',
        "folders/test_get.py::test_the_last_door_refuses_what_leads_elsewhere",
    ),
)

SERVER = (
    bug(
        "token-without-end",
        "aeordb/server/tokens.py",
        "return self.start - _SKEW <= now // 1000 < self.end",
        "return self.start - _SKEW <= now // 1000",
        "server/test_auth.py",
    ),
    bug(
        "token-for-a-token",
        "aeordb/server/auth.py",
        "        if key is None or identity.by_token:\n",
        "        if key is None:\n",
        "server/test_auth.py",
    ),
    bug(
        "revoked-key-accepted",
        "aeordb/database/access.py",
        "return not key.is_revoked and now < key.expires_at",
        "return now < key.expires_at",
        "server/test_auth.py",
        "database/test_root_key.py",
    ),
    bug(
        "any-key-is-a-root-key",
        "aeordb/server/auth.py",
        "    if not identity.root:\n",
        "    if False:\n",
        "server/test_matrix.py",
        "server/test_auth.py",
    ),
    bug(
        "output-outside-of-the-backup-folder",
        "aeordb/server/backupdir.py",
        'if not name or "/" in name or',
        "if not name or",
        "server/test_backups.py",
    ),
    bug(
        "symlink-in-the-backup-folder-followed",
        "aeordb/server/backupdir.py",
        "flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK",
        "flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK",
        "server/test_backups.py",
    ),
)

NATIVE = (
    bug(
        "read-without-integrity-check",
        "native/index.c",
        "    if (memcmp(hash, actual, AEOR_HASH) != 0) return AEOR_ERR_ENTRY_HASH;\n    hit->time",
        "    hit->time",
        "native/test_index.py::test_read_of_a_damaged_entry",
    ),
    bug(
        "another-keys-entry-accepted",
        "native/index.c",
        "    if (entry.key_length != AEOR_HASH || memcmp(start, key, AEOR_HASH) != 0) {\n",
        "    if (entry.key_length != AEOR_HASH) {\n",
        "native/test_index.py::test_read_of_another_entry",
    ),
    bug(
        "page-without-checksum",
        "native/page.c",
        "*count > AEOR_PAGE_ENTRIES ||\n        aeor_get32(image + 4) != page_crc(image)) {",
        "*count > AEOR_PAGE_ENTRIES) {",
        "native/test_pages.py",
    ),
    bug(
        "deleted-entries-stay-in-pages",
        "native/page.c",
        "bool leaves = entry[AEOR_HASH] & AEOR_KV_DELETED;",
        "bool leaves = false;",
        "native/test_pages.py::test_checkpoint",
    ),
    bug(
        "flagged-page-read-all-the-same",
        "native/index.c",
        "    if (page_covered(index, page)) return AEOR_ABSENT;\n"
        "    hit->page = page;\n    int code = aeor_page_load(",
        "    hit->page = page;\n    int code = aeor_page_load(",
        "native/test_index.py::test_layers",
    ),
    bug(
        "equal-names-in-a-leaf",
        "native/node.c",
        "cursor->data + child->name_at, child->name_length) >= 0) {",
        "cursor->data + child->name_at, child->name_length) > 0) {",
        "native/test_nodes.py::test_names_that_do_not_rise",
    ),
    bug(
        "one-level-too-deep",
        "native/walker.c",
        "parent->depth >= AEOR_DEPTH_MAX",
        "parent->depth > AEOR_DEPTH_MAX",
        "native/test_walk.py::test_depth_is_limited",
    ),
    bug(
        "export-copies-damage",
        "native/carry.c",
        "        if (memcmp(work->hashes[i], entry + AEOR_ENTRY_HEADER, AEOR_HASH) != 0) {\n",
        "        if (false) {\n",
        "native/test_carry.py::test_every_byte_but_the_time_is_checked",
        "backup/test_export_damage.py",
    ),
)

BUGS = (*COMMIT, *RECOVERY, *NAMES, *COLLECTING, *BACKUPS, *TREE, *SERVER, *NATIVE)
