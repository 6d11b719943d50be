"""`.gitignore` and `.leptonignore`, compared with Git itself where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lepton_ai.sdk.folder_listing import EntryKind, list_folder


def make(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def packed(folder: Path) -> list[str]:
    listing = list_folder(folder, bytes_max=1024 * 1024)
    return sorted(entry.path for entry in listing.entries if entry.kind is EntryKind.FILE)


def test_a_deeper_file_overrules_the_one_above(tmp_path: Path) -> None:
    make(
        tmp_path,
        **{".gitignore": "*.log\n", "a.log": "", "sub/.gitignore": "!keep.log\n", "sub/keep.log": "", "sub/b.log": ""},
    )

    assert packed(tmp_path) == [".gitignore", "sub/.gitignore", "sub/keep.log"]


def test_nothing_inside_an_ignored_folder_can_be_taken_back(tmp_path: Path) -> None:
    make(tmp_path, **{".gitignore": "data/\n!data/a\n", "data/a": "", "b": ""})

    assert packed(tmp_path) == [".gitignore", "b"]


def test_leptonignore_leaves_out_more_and_takes_back_what_git_leaves_out(tmp_path: Path) -> None:
    make(
        tmp_path,
        **{
            ".gitignore": "*.bin\n",
            ".leptonignore": "!model.bin\ntests/\n",
            "model.bin": "",
            "b.bin": "",
            "tests/t": "",
        },
    )

    assert packed(tmp_path) == [".gitignore", ".leptonignore", "model.bin"]


def test_a_line_that_git_cannot_read_is_passed_over(tmp_path: Path) -> None:
    make(tmp_path, **{".gitignore": "!\n*.log\n", "a.log": "", "b": ""})

    assert packed(tmp_path) == [".gitignore", "b"]


def test_a_folder_that_is_called_gitignore_holds_no_rules(tmp_path: Path) -> None:
    make(tmp_path, **{".gitignore/a": "*", "b": ""})

    assert packed(tmp_path) == [".gitignore/a", "b"]


@pytest.mark.skipif(shutil.which("git") is None, reason="compares with Git")
def test_git_agrees_about_a_tree_of_patterns(tmp_path: Path) -> None:
    make(
        tmp_path,
        **{
            ".gitignore": "*.pt\n/out\nlogs/**\n!logs/keep\n# note\n\\#odd\nbuild/\n**/cache/*.tmp\nspace\\ \n[ab].txt",
            "sub/.gitignore": "!x.pt\n/only\n",
            "x.pt": "", "sub/x.pt": "", "sub/y.pt": "", "out/a": "", "sub/out/a": "", "logs/a": "", "logs/keep": "",
            "#odd": "", "build/a": "", "sub/build": "", "p/cache/a.tmp": "", "p/cache/a.txt": "", "only": "",
            "sub/only": "", "sub/deep/only": "", "a.txt": "", "c.txt": "", "space ": "",
        },
    )  # fmt: skip
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    listed = subprocess.run(
        ["git", "-C", str(tmp_path), "ls-files", "-z", "--others", "--exclude-per-directory=.gitignore"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip

    assert packed(tmp_path) == sorted(name for name in listed.stdout.split("\0") if name)
