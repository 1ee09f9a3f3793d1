"""Mistakes in what collects, keeps and carries: gc, retention, backups, imports."""

from tests.planted.bug import bug

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
        "                recheck(\n"
        "                    unchecked, report.version, report.base, jobs=self.jobs, "
        "progress=self.progress\n                )\n",
        "",
        "backup/test_retention.py::test_nothing_goes_before_the_new_file_read_back_well",
    ),
)

VERIFYING = (
    bug(
        "verify-passes-names-that-reading-refuses",
        "aeordb/maintenance/verify_trees.py",
        "workers=workers, strict=True)",
        "workers=workers)",
        "maintenance/test_lies.py::test_names_that_reading_refuses",
    ),
    bug(
        "repair-keeps-names-that-reading-refuses",
        "aeordb/maintenance/repair_versions.py",
        "jobs=self._jobs, strict=True)",
        "jobs=self._jobs)",
        "maintenance/test_lies.py::test_names_that_reading_refuses",
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
