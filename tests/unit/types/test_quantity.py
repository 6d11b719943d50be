"""Amounts as people write them, and back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_ai.types.quantity import BYTES_MAX, format_bytes, format_duration, parse_bytes, parse_duration


@pytest.mark.parametrize(
    ("written", "amount"),
    [("4GB", 4 * 10**9), ("4GiB", 4 * 2**30), ("512mb", 512 * 10**6), ("1.5 GB", 1_500_000_000), ("1TB", 10**12)],
)
def test_bytes_are_read_with_their_unit(written: str, amount: int) -> None:
    assert parse_bytes(written) == amount


@pytest.mark.parametrize("wrong", ["", "GB", "4 XB", "-1GB", "1e400", True, None, 1.5, -1, BYTES_MAX + 1, "9" * 100])
def test_what_is_no_amount_of_bytes_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"not an amount of bytes|out of range"):
        parse_bytes(wrong)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(90, 90), (1.5, 1.5), ("90s", 90), ("1h30m", 5400), ("250ms", 0.25), ("2d", 172800), (timedelta(minutes=1), 60)],
)
def test_durations_are_read_with_their_units(written: object, seconds: float) -> None:
    assert parse_duration(written).total_seconds() == seconds


@pytest.mark.parametrize(
    "wrong", ["", "soon", "1h30", "-5s", -1, True, None, "nan", "inf", "5y", float("nan"), "100000d"]
)
def test_what_is_no_duration_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"not a duration|out of range"):
        parse_duration(wrong)


@pytest.mark.parametrize(
    ("amount", "shown"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (80 * 10**9, "80.0 GB"), (2 * 10**12, "2.0 TB")]
)
def test_bytes_are_shown_short(amount: int, shown: str) -> None:
    assert format_bytes(amount) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.85, "850ms"), (12, "12.0s"), (90, "1m30s"), (3900, "1h05m"), (59.99, "60.0s")]
)
def test_durations_are_shown_short(seconds: float, shown: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == shown


@given(st.integers(0, BYTES_MAX))
def test_a_whole_number_is_that_many_bytes(amount: int) -> None:
    assert parse_bytes(amount) == amount


@given(st.text(max_size=80), st.sampled_from((parse_bytes, parse_duration)))
def test_no_text_makes_reading_fail_in_another_way_than_by_a_sentence(
    text: str, parse: Callable[[object], object]
) -> None:
    with suppress(ValueError):
        assert parse(text) is not None
