"""Rows are read strictly: what is wrong is told with file, line and column, and nothing crashes."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lepton_ai.errors import InvalidInput, LeptonError
from lepton_ai.simulation.readers.detect import read_trace
from lepton_ai.simulation.readers.rows import LINE_CHARACTERS_MAX, Row, open_table

HEADING = "submit_s,duration_s,num_gpus,vc\n"


def written(folder: Path, text: str, name: str = "trace.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def cell(text: str) -> Row:
    return Row("trace.csv", 17, {"duration": text})


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("0,abc,1,a\n", "trace.csv line 2: duration_s 'abc' is not a number of seconds."),
        ("0,1,1,a\n0,1,many,a\n", "trace.csv line 3: num_gpus 'many' is not a number of GPUs."),
        ("0,1,1.5,a\n", "trace.csv line 2: num_gpus '1.5' is not a number of GPUs."),
        ("0,1,-2,a\n", "trace.csv line 2: num_gpus '-2' is not a number of GPUs."),
        ("0,1,nan,a\n", "trace.csv line 2: num_gpus 'nan' is not a number of GPUs."),
        ("0,1,1e12,a\n", "trace.csv line 2: num_gpus '1e12' is more than 4096 nodes of 8."),
        ("0,1,999999999999989,a\n", "num_gpus '999999999999989' is more than 4096 nodes of 8."),
        ("0,1,1\n", "trace.csv line 2: it has 3 columns, the first line 4."),
        ('0,1,1,"' + "a" * 140_000 + "\n", "trace.csv line 2 has more than 131,072 characters."),
        ("", "trace.csv has no task that can be replayed"),
        ("5,0,1,a\n6,nan,1,a\n7,-1,1,a\n", "trace.csv has no task that can be replayed: 3 no positive duration"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_column(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        read_trace(written(tmp_path, HEADING + lines))
    assert message in raised.value.message


@pytest.mark.parametrize("text", ["", "\n\n", " , ,\n"])
def test_an_empty_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInput, match=r"trace.csv is empty"):
        read_trace(written(tmp_path, text))


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        read_trace(tmp_path / "none.csv")
    with pytest.raises(InvalidInput, match="cannot be read: Is a directory"):
        read_trace(tmp_path)


def test_gzip_is_unpacked_whatever_its_name_and_a_torn_one_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress((HEADING + "0,1,1,a\n" * 5000).encode())
    path = tmp_path / "trace"
    path.write_bytes(packed)
    assert len(read_trace(path).tasks) == 5000
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_trace(path)


def test_blank_lines_and_a_byte_order_mark_are_no_matter(tmp_path: Path) -> None:
    assert len(read_trace(written(tmp_path, "\ufeff" + HEADING + "\n0,1,1,a\n\n")).tasks) == 1


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=300), heading=st.sampled_from(["", HEADING, "JobID|Submit|End\n", "name,cpu_milli\n"])
)
def test_no_content_crashes_the_reader(tmp_path: Path, content: bytes, heading: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_bytes(heading.encode() + content)
    assert told_or_read(path)


def told_or_read(path: Path) -> bool:
    """Tell whether a file is read or refused in words; anything else raises."""
    try:
        return len(read_trace(path).tasks) > 0
    except LeptonError as error:
        return bool(error.message)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:00:05", 5), ("1-02:03:04", 93_784), ("02:30", 150), ("10:00:00.250", 36_000), ("123:00:00", 442_800)],
)
def test_spans_are_read_as_slurm_writes_them(text: str, seconds: float) -> None:
    assert cell(text).span("duration") == seconds


@pytest.mark.parametrize("text", ["", "UNLIMITED", "Partition_Limit", "Unknown"])
def test_a_span_that_is_not_known_is_not_a_number(text: str) -> None:
    assert math.isnan(cell(text).span("duration"))


@pytest.mark.parametrize("text", ["soon", "1-2-3", "5", "1:2:3:4"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=rf"trace.csv line 17: duration '{text}' is not a duration such as"):
        cell(text).span("duration")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1970-01-02T00:00:00", 86_400), ("1970-01-01T01:00:00+01:00", 0), ("1700000000", 1_700_000_000)],
)
def test_moments_are_read_as_utc_unless_they_say_otherwise(text: str, seconds: float) -> None:
    assert cell(text).moment("duration") == seconds


def test_a_line_may_be_long_but_not_endless(tmp_path: Path) -> None:
    table = open_table(written(tmp_path, HEADING + "0,1,1," + "a" * (LINE_CHARACTERS_MAX - 10) + "\n"))
    assert len(list(table.rows)) == 1
