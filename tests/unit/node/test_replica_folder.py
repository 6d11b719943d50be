"""A replica's folder: one claim for ever, and damaged records that read as absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from lepton_ai.errors import StorageFailed
from lepton_ai.node.replica_folder import Ended, Facts, ReplicaFolder
from lepton_ai.node.supervisor import records
from lepton_ai.types.task import ExitKind, ReplicaExit

FACTS = Facts(3, port=8000, limits="none", groups=("/g",), meters={"oom": "/g/oom"})


def test_only_the_first_claim_holds(tmp_path: Path) -> None:
    folder = ReplicaFolder(tmp_path)

    assert folder.claim_for_core(FACTS)
    assert not folder.claim_for_core(Facts(4))

    claim = folder.claim()
    assert claim is not None
    assert (claim.pid, claim.facts) == (0, FACTS)
    assert [path.name for path in tmp_path.iterdir()] == [records.CLAIM]


def test_an_end_is_read_as_it_was_written(tmp_path: Path) -> None:
    ended = Ended(ReplicaExit(kind=ExitKind.LOST, sentence="Gone."), 1.5, 2.5)

    ReplicaFolder(tmp_path).write_ended(ended)

    assert ReplicaFolder(tmp_path).ended() == ended
    assert [path.name for path in tmp_path.iterdir()] == [records.EXIT]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"kind": "no such kind", "started_at": 0}', "\0" * 99])
def test_damaged_records_read_as_absent(tmp_path: Path, text: str) -> None:
    for name in (records.CLAIM, records.RUNNING, records.EXIT):
        (tmp_path / name).write_text(text)
    folder = ReplicaFolder(tmp_path)

    assert (folder.claim(), folder.running_since(), folder.ended()) == (None, 0.0, None)


def test_the_grace_of_a_stop_is_read_back(tmp_path: Path) -> None:
    assert records.read_stop(str(tmp_path)) is None

    records.write_stop(str(tmp_path), 2.5)

    assert records.read_stop(str(tmp_path)) == 2.5


def test_a_folder_that_cannot_be_made_is_told_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StorageFailed, match="file/a"):
        ReplicaFolder(tmp_path / "file" / "a").make()
