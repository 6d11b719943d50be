"""Pictures by matplotlib: each ending gives a file of its kind, and whatever is wrong is told before the replay."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lepton_ai.errors import InvalidInput
from lepton_ai.kernel.scheduling.snapshot import Policy
from lepton_ai.simulation.compare import Played, Scenario, Telling, play
from lepton_ai.simulation.engine import Rules
from lepton_ai.simulation.plot import prepare
from tests.unit.simulation.works import GPU_NODE, GPU_NODES, trace, work


def runs() -> list[Played]:
    tasks = trace(*(work(f"t{number}", number * 60, 600, 8) for number in range(6)))
    fleets = {"as it was": (GPU_NODE,), "what if": GPU_NODES}
    return [play(tasks, Scenario(name, nodes, Policy(), {}), Telling(), Rules()) for name, nodes in fleets.items()]


def test_the_waits_of_projects_are_drawn_under_their_names(tmp_path: Path) -> None:
    tasks = trace(*(replace(work(name, 0, 600, 8), project=f"project {name}") for name in "ab"))
    one = play(tasks, Scenario("x", (GPU_NODE,), Policy(), {}), Telling(), Rules())
    prepare(tmp_path / "a.svg")([(one.figures, one.outcome)])
    assert [f"project {name}" in (tmp_path / "a.svg").read_text() for name in "abc"] == [True, True, False]


@pytest.mark.parametrize(("ending", "begins"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("html", b"<!doctype html>")])
def test_each_ending_gives_a_file_of_its_kind(tmp_path: Path, ending: str, begins: bytes) -> None:
    path = tmp_path / f"week.{ending}"
    prepare(path)([(one.figures, one.outcome) for one in runs()])
    assert path.read_bytes().startswith(begins)
    assert path.stat().st_size > 10_000


def test_an_html_page_holds_the_whole_picture(tmp_path: Path) -> None:
    prepare(tmp_path / "a.html")([(one.figures, one.outcome) for one in runs()])
    text = (tmp_path / "a.html").read_text()
    assert text.count("<svg") == text.count("</svg>") == 1


def test_nodes_are_counted_in_whole_numbers(tmp_path: Path) -> None:
    prepare(tmp_path / "a.svg")([(one.figures, one.outcome) for one in runs()])
    assert "\N{MINUS SIGN}0" not in (tmp_path / "a.svg").read_text()


def test_a_replay_in_which_nothing_ran_can_be_drawn(tmp_path: Path) -> None:
    empty = play(trace(work("huge", 0, 1, 9)), Scenario("x", (GPU_NODE,), Policy(), {}), Telling(), Rules())
    prepare(tmp_path / "a.svg")([(empty.figures, empty.outcome)])
    assert (tmp_path / "a.svg").exists()


def test_an_unknown_ending_or_folder_is_refused_before_anything_is_replayed(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"a.pdf ends in none of .svg, .png, .html"):
        prepare(tmp_path / "a.pdf")
    with pytest.raises(InvalidInput, match="There is no folder"):
        prepare(tmp_path / "none" / "a.svg")


def test_without_matplotlib_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # as if it were not installed
    with pytest.raises(InvalidInput, match=r"not installed\. Install it with: pip install 'lepton-ai\[plot\]'"):
        prepare(tmp_path / "a.svg")
