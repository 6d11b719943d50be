"""The page of figures: a benchmark that ran replaces its own section and nothing else."""

from __future__ import annotations

from benchmarks.figure import Report, at_most
from benchmarks.page import insert_report, render


def report(name: str, seconds: float) -> Report:
    figure = at_most("`lepton up`", [seconds], 3.0, "s")
    return Report(
        name=name, title="Start", figures=[figure], notes=["Said once."], date="2026-01-02", machine="2 cores"
    )


def test_a_section_tells_the_command_the_day_the_machine_and_the_figures() -> None:
    text = render(report("start", 1.5))

    assert "`python -m benchmarks start`, 2026-01-02: 2 cores." in text
    assert "| `lepton up` | 1.5 s |  | <= 3 s | met |" in text
    assert text.endswith("- Said once.\n")


def test_a_first_report_is_added_at_the_end_of_the_page() -> None:
    page = insert_report("# Benchmarks\n\nWords.\n", report("start", 1.5))

    assert page.startswith("# Benchmarks\n\nWords.\n\n<!-- figures of start -->")


def test_a_later_report_replaces_its_own_section_alone() -> None:
    page = insert_report(insert_report("# Benchmarks\n", report("start", 1.5)), report("other", 9.25))

    again = insert_report(page, report("start", 2.75))

    assert "2.75 s" in again
    assert "1.5 s" not in again
    assert "9.25 s" in again
    assert again.count("<!-- figures of start -->") == 1
