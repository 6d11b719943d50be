"""How results are printed."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest

from lepton_ai.cli.moment import age, clock_time, lasted, span
from lepton_ai.cli.output import bar, console, is_terminal, percent, print_fields, print_json, print_table, to_plain
from lepton_ai.types.base import Reason

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Terminal(io.StringIO):
    """A stream behind which a person sits."""

    def isatty(self) -> bool:
        return True


def test_models_come_out_as_json_has_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"why": [Reason(code="a", sentence="Ü")]})
    assert '"sentence": "Ü"' in capsys.readouterr().out
    assert to_plain((Reason(code="a"), 1)) == [{"code": "a", "sentence": ""}, 1]


def test_a_column_of_numbers_is_set_flush_right(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", "N>"), [("a", "1"), ("b", "100")], empty="")
    assert capsys.readouterr().out.splitlines() == ["NAME    N", "a       1", "b     100"]


def test_markup_in_a_cell_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME",), [("[red]:smile:[/red]",)], empty="")
    assert "[red]:smile:[/red]" in capsys.readouterr().out


def test_fields_without_a_value_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields([("Name", "a"), ("Nothing", ""), ("Id", "b")])
    assert capsys.readouterr().out == "Name: a\nId:   b\n"


def test_colour_is_for_terminals_alone_and_not_where_no_color_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert console(Terminal()).color_system
    assert not console(io.StringIO()).color_system
    monkeypatch.setenv("NO_COLOR", "1")
    assert console(Terminal()).no_color


def test_a_dumb_terminal_gets_no_spinner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert not is_terminal(Terminal())


@pytest.mark.parametrize(
    ("share", "drawn", "said"),
    [(0.0, "░░░░", "0%"), (0.5, "██░░", "50%"), (1.0, "████", "100%"), (1.7, "████", "170%"), (-1.0, "", "-")],
)
def test_a_bar_is_full_at_one_and_absent_without_a_measurement(share: float, drawn: str, said: str) -> None:
    assert (bar(share, 4), percent(share)) == (drawn, said)


@pytest.mark.parametrize(
    ("seconds", "short", "exact"),
    [(0.04, "0s", "0.0s"), (9.96, "9s", "10.0s"), (59, "59s", "59s"), (61, "1m", "1m01s"), (3700, "1h", "1h01m")],
)
def test_a_span_is_written_in_its_largest_unit(seconds: float, short: str, exact: str) -> None:
    time = timedelta(seconds=seconds)
    assert (span(time), span(time, is_exact=True)) == (short, exact)


def test_what_has_not_happened_has_no_time() -> None:
    assert (age(None), lasted(None, None), clock_time(None)) == ("-", "-", "-")
    assert lasted(START, START + timedelta(days=2, hours=3)) == "2d03h"
    assert age(START).endswith("d")
