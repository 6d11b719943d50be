"""What is told of an end: one of the exit kinds, a sentence, and what was used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lepton_ai.node.supervisor.launch import Launch, unpack
from lepton_ai.node.supervisor.outcome import Seen, exit_record
from lepton_ai.node.supervisor.records import EXIT_BYTES
from lepton_ai.types.task import ReplicaExit


def launch_with(meters: dict[str, str]) -> Launch:
    fields: dict[str, object] = dict.fromkeys(Launch.__annotations__)
    return Launch({**fields, "meters": meters, "memory_bytes": 80_000_000, "grace_seconds": 10.0})


def record_of(seen: Seen, meters: dict[str, str]) -> ReplicaExit:
    values = json.loads(exit_record(launch_with(meters), seen))
    return ReplicaExit.model_validate({name: values[name] for name in ReplicaExit.model_fields})


@pytest.mark.parametrize(
    ("status", "kind", "exit_code", "signal"),
    [(0, "succeeded", 0, 0), (3 << 8, "failed", 3, 0), (11, "signaled", -1, 11), (9, "signaled", -1, 9)],
)
def test_the_status_of_the_command_decides(status: int, kind: str, exit_code: int, signal: int) -> None:
    seen = Seen()
    seen.status = status

    record = record_of(seen, {})

    assert (record.kind, record.exit_code, record.signal) == (kind, exit_code, signal)


@pytest.mark.parametrize(("status", "kind"), [(0, "succeeded"), (9, "out_of_memory"), (137 << 8, "out_of_memory")])
def test_a_kill_for_memory_counts_if_the_command_did_not_get_over_it(tmp_path: Path, status: int, kind: str) -> None:
    counters = tmp_path / "memory.events"
    counters.write_text("low 0\noom 1\noom_kill 1\n")
    seen = Seen()
    seen.status = status

    assert record_of(seen, {"oom": str(counters)}).kind == kind


def test_what_was_used_comes_from_the_control_groups(tmp_path: Path) -> None:
    (tmp_path / "memory.peak").write_text("12345\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n")
    meters = {"peak": str(tmp_path / "memory.peak"), "cpu": str(tmp_path / "cpu.stat")}

    record = record_of(Seen(), meters)

    assert (record.peak_memory_bytes, record.cpu_seconds) == (12345, 1.5)


def test_the_record_fits_what_was_reserved_for_it_whatever_the_command_is_called() -> None:
    seen = Seen()
    seen.cause, seen.sentence = "not_started", 'The command "\n\U0001f600\x00' * 1000

    assert len(exit_record(launch_with({}), seen).encode()) <= EXIT_BYTES


def test_a_launch_arrives_as_it_was_packed() -> None:
    launch = launch_with({"oom": "x"})

    assert unpack(launch.pack()).__dict__ == launch.__dict__


def test_a_launch_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError, match="surprise"):
        Launch({**dict.fromkeys(Launch.__annotations__), "surprise": 1})
