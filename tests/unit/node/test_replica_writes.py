"""What a replica may do to its own folder: pipes, links and wild values read as absent, and nobody waits for them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lepton_ai.errors import StorageFailed, TooLarge
from lepton_ai.node.leftovers import end_leftovers
from lepton_ai.node.log_reader import read_log
from lepton_ai.node.replica_folder import RESULT_BYTES_MAX, Ended, Facts, ReplicaFolder
from lepton_ai.node.supervisor import records
from lepton_ai.node.supervisor.log_writer import LogWriter, segment_name
from lepton_ai.node.supervisor.outcome import number_in
from lepton_ai.types.task import ExitKind, ReplicaExit

ENDED = Ended(ReplicaExit(kind=ExitKind.LOST, sentence="Gone."), 1.5, 2.5)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _link(path: Path) -> None:
    elsewhere = path.parent.with_name("elsewhere")
    elsewhere.write_text('{"kind": "lost", "sentence": "x", "started_at": 1, "finished_at": 2}')
    path.symlink_to(elsewhere)


REPLACEMENTS = pytest.mark.parametrize("replace", [_pipe, _link, Path.mkdir])


@pytest.fixture
def folder(tmp_path: Path) -> ReplicaFolder:
    made = ReplicaFolder(tmp_path / "replica")
    made.make()
    return made


@REPLACEMENTS
def test_what_is_no_plain_file_reads_as_absent(folder: ReplicaFolder, replace: Callable[[Path], None]) -> None:
    for name in (records.CLAIM, records.RUNNING, records.EXIT, records.RESULT, records.STOP):
        replace(folder.path / name)

    found = (folder.claim(), folder.running_since(), folder.ended(), folder.result())

    assert found == (None, 0.0, None, None)
    assert records.read_stop(str(folder.path)) is None


@REPLACEMENTS
def test_a_segment_that_is_no_plain_file_ends_the_log(folder: ReplicaFolder, replace: Callable[[Path], None]) -> None:
    log = folder.path / records.LOG
    log.mkdir()
    (log / segment_name(0)).write_bytes(b"before")
    replace(log / segment_name(6))

    assert read_log(log, 0, 100).text in {b"", b"before"}
    assert read_log(log, 6, 100).text == b""


def test_the_log_of_a_plain_folder_is_read(folder: ReplicaFolder) -> None:
    log = folder.path / records.LOG
    log.mkdir()
    (log / segment_name(0)).write_bytes(b"before")
    (log / segment_name(6)).write_bytes(b"after")

    piece = read_log(log, 3, 5)

    assert (piece.text, piece.offset, piece.end) == (b"oreaf", 3, 11)


def test_a_log_folder_that_is_a_link_is_an_empty_log(folder: ReplicaFolder, tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / segment_name(0)).write_bytes(b"theirs")
    (folder.path / records.LOG).symlink_to(tmp_path / "others")

    assert read_log(folder.path / records.LOG, 0, 100).text == b""


def test_a_replica_folder_that_is_a_link_holds_nothing(folder: ReplicaFolder, tmp_path: Path) -> None:
    folder.write_ended(ENDED)
    (folder.path / records.RESULT).write_bytes(b"theirs")
    (folder.path / records.LOG).mkdir()
    (folder.path / records.LOG / segment_name(0)).write_bytes(b"theirs")
    link = ReplicaFolder(tmp_path / "link")
    link.path.symlink_to(folder.path)

    assert (link.ended(), link.result()) == (None, None)
    assert read_log(link.path / records.LOG, 0, 100).text == b""


def test_nothing_is_written_through_a_replica_folder_that_is_a_link(folder: ReplicaFolder, tmp_path: Path) -> None:
    link = ReplicaFolder(tmp_path / "link")
    link.path.symlink_to(folder.path)

    with pytest.raises(StorageFailed):
        link.make()
    with pytest.raises(NotADirectoryError):
        link.claim_for_core(Facts(0))
    with pytest.raises(NotADirectoryError):
        link.write_ended(ENDED)
    assert not list(folder.path.iterdir())


@pytest.mark.parametrize("draft", [records.CLAIM, records.STOP, records.EXIT])
def test_a_pipe_where_a_record_is_drafted_is_an_error_at_once(folder: ReplicaFolder, draft: str) -> None:
    os.mkfifo(folder.path / f"{draft}.{os.getpid()}")
    acts: dict[str, Callable[[], object]] = {
        records.CLAIM: lambda: folder.claim_for_core(Facts(0)),
        records.STOP: lambda: records.write_stop(str(folder.path), 1.0),
        records.EXIT: lambda: folder.write_ended(ENDED),
    }

    with pytest.raises(OSError, match="No such device"):
        acts[draft]()


def test_a_pipe_in_the_place_of_a_segment_costs_only_the_output(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / segment_name(0))
    writer = LogWriter(str(tmp_path), 1 << 20)

    writer.append(b"lost")

    assert writer.dropped == 4


@pytest.mark.parametrize("seconds", ["1e300", "-1e300", "NaN", "Infinity"])
def test_a_moment_that_no_calendar_has_is_a_damaged_record(folder: ReplicaFolder, seconds: str) -> None:
    exit_text = f'{{"kind": "lost", "sentence": "x", "started_at": {seconds}, "finished_at": 2}}'
    (folder.path / records.EXIT).write_text(exit_text)
    (folder.path / records.RUNNING).write_text(f'{{"started_at": {seconds}}}')

    assert (folder.ended(), folder.running_since()) == (None, 0.0)


@pytest.mark.parametrize("wild", [{"pid": -1}, {"pid": 1 << 70}, {"port": 70000}])
def test_a_claim_with_a_number_that_cannot_be_is_damaged(folder: ReplicaFolder, wild: dict[str, int]) -> None:
    folder.claim_for_core(Facts(0))
    claim = json.loads((folder.path / records.CLAIM).read_text())
    (folder.path / records.CLAIM).write_text(json.dumps(claim | wild))

    assert folder.claim() is None


def test_a_record_of_brackets_alone_is_damaged(folder: ReplicaFolder) -> None:
    (folder.path / records.CLAIM).write_text("[" * 60000)

    assert folder.claim() is None


def test_a_result_that_is_too_large_is_told_with_its_size(folder: ReplicaFolder) -> None:
    with (folder.path / records.RESULT).open("wb") as file:
        file.truncate(RESULT_BYTES_MAX + 1)

    with pytest.raises(TooLarge, match=str(RESULT_BYTES_MAX + 1)):
        folder.result()


def test_a_claim_that_names_a_pipe_as_control_group_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "cgroup.procs")
    os.mkfifo(tmp_path / "memory")

    assert end_leftovers(tmp_path / "replica", [str(tmp_path)])
    assert number_in(str(tmp_path / "memory")) == 0


def test_a_control_group_of_processes_that_we_cannot_see_kills_nobody(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text("0\n")

    assert end_leftovers(tmp_path / "replica", [str(tmp_path)])
