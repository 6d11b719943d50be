"""Copies that replicas may write into."""

from __future__ import annotations

import os
from pathlib import Path

from lepton_ai.node.copy_tree import copy_tree


def test_a_copy_has_the_same_content_modes_and_links_and_shares_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "sub" / "empty").mkdir(parents=True)
    (source / "sub" / "a").write_bytes(os.urandom(100_000))
    (source / "run").write_text("#!/bin/sh")
    (source / "run").chmod(0o755)
    (source / "link").symlink_to("sub/a")
    before = (source / "sub" / "a").read_bytes()

    copy_tree(source, target)
    (target / "link").write_text("changed")

    assert (source / "sub" / "a").read_bytes() == before
    assert (target / "sub" / "a").read_text() == "changed"
    assert (target / "run").stat().st_mode == (source / "run").stat().st_mode
    assert (target / "sub" / "empty").is_dir()
    assert os.readlink(target / "link") == "sub/a"


def test_a_copy_that_was_cut_short_is_completed(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "a").write_text("short")
    (source / "link").symlink_to("sub")
    copy_tree(source, target)
    (target / "sub" / "a").write_text("half a longer text")

    copy_tree(source, target)

    assert (target / "sub" / "a").read_text() == "short"
    assert os.readlink(target / "link") == "sub"
