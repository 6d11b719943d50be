"""The log: bounded, in segments named by absolute offsets, and never a reason to stop."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_ai.node.log_reader import read_log
from lepton_ai.node.supervisor.log_writer import SEGMENT_BYTES_MIN, LogWriter, segment_name, segment_offset


@pytest.mark.parametrize("name", ["x.log", ".log", "12", "12.log.gz"])
def test_other_files_are_no_segments(name: str) -> None:
    assert segment_offset(name) is None
    assert segment_offset(segment_name(12)) == 12


def test_the_log_never_takes_more_than_its_limit(tmp_path: Path) -> None:
    log = LogWriter(str(tmp_path), 64 * 1024)
    sizes = []
    for _ in range(100):
        log.append(bytes(5000))
        sizes.append(sum(path.stat().st_size for path in tmp_path.iterdir()))

    log.close()
    assert max(sizes) <= 64 * 1024
    assert read_log(tmp_path, 0, 1).end == 500_000


def test_what_the_disk_refuses_is_counted_and_later_output_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    log = LogWriter(str(folder), 64 * 1024)

    log.append(b"lost")
    folder.mkdir()
    log.append(b"kept")

    log.close()
    assert (log.dropped, log.trouble) == (4, os.strerror(2))
    assert read_log(folder, 0, 100).text == b"kept"


def test_an_offset_that_was_rotated_away_gives_the_oldest_byte_kept(tmp_path: Path) -> None:
    log = LogWriter(str(tmp_path), 2 * SEGMENT_BYTES_MIN)
    log.append(b"a" * SEGMENT_BYTES_MIN + b"b" * SEGMENT_BYTES_MIN + b"c")
    log.close()

    piece = read_log(tmp_path, 0, 2)

    assert (piece.text, piece.offset) == (b"bb", SEGMENT_BYTES_MIN)


def test_an_offset_beyond_the_end_gives_nothing_at_the_end(tmp_path: Path) -> None:
    log = LogWriter(str(tmp_path), 64 * 1024)
    log.append(b"abc")
    log.close()

    piece = read_log(tmp_path, 10, 5)

    assert (piece.text, piece.offset, piece.end) == (b"", 3, 3)


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_log(tmp_path / "none", 5, 5).text == b""


@given(chunks=st.lists(st.binary(max_size=9000), max_size=12), limit=st.integers(1, 20_000))
def test_reading_on_gives_every_byte_that_is_kept_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes], limit: int
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log = LogWriter(str(folder), 8 * SEGMENT_BYTES_MIN)
    for chunk in chunks:
        log.append(chunk)
    log.close()
    written = b"".join(chunks)

    first = read_log(folder, 0, limit)
    gathered, position = first.text, first.offset + len(first.text)
    while position < first.end:
        piece = read_log(folder, position, limit)
        gathered, position = gathered + piece.text, position + len(piece.text)

    assert gathered == written[first.offset :]
    assert len(written) - first.offset <= 8 * SEGMENT_BYTES_MIN
