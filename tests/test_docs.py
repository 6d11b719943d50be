"""Every code block of the README and of docs/ works, typed in order as a reader would type it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.reader.page import Block, Use, read_blocks
from tests.reader.reader import Reader
from tests.tidy.source import ROOT

PAGES = sorted(path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")] if "node_modules" not in path.parts)
COMMAND_SECONDS_MAX = 60
_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of the page's own, on a free port, with `lepton` on PATH; nothing of it runs on afterwards.

    One for each page, so that no page depends on what another made, in whatever order and process they are tested.
    """
    monkeypatch.setenv("LEPTON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LEPTON_PORT", "0")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("LEPTON_INSTANCE", "LEPTON_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield tmp_path / "home"
    if (tmp_path / "home").exists():
        lepton("down")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_the_page_says_works(page: Path, home: Path) -> None:
    blocks = read_blocks(page)
    start_platform(blocks)
    Reader(str(page.relative_to(ROOT)), Path.cwd()).read(blocks)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_links_of_the_page_lead_somewhere(page: Path) -> None:
    missing = [link for link in _LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing, f"{page.relative_to(ROOT)} links to {missing}, which do not exist"


def start_platform(blocks: Sequence[Block]) -> None:
    """Start the platform that the page expects; one that says `lepton up` starts it itself."""
    typed = "\n".join(block.source for block in blocks if block.use in {Use.SHELL, Use.PYTHON})
    if "lepton up" not in typed and re.search(r"^lepton |LeptonAI\(", typed, re.MULTILINE):
        lepton("up")


def lepton(verb: str) -> None:
    result = subprocess.run(
        ["lepton", verb],
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert result.returncode == 0, f"lepton {verb} exits with {result.returncode}: {result.stdout}{result.stderr}"
