"""How replicas end, and what is recorded of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from lepton_ai.node.limits import detect_limits
from lepton_ai.types.task import ExitKind, ReplicaState
from tests.integration.local_runtime.machine import Machine, is_alive, wait_for

HAS_MEMORY_GROUP = "memory" in detect_limits(Path("/tmp")).parents
HAS_PIDS_GROUP = "pids" in detect_limits(Path("/tmp")).parents
EAT_MEMORY = "held = []\nwhile True: held.append(bytearray(10**7))"
IGNORE_TERM = "trap '' TERM; echo ready; while true; do sleep 0.05; done"


def test_a_command_that_succeeds_is_recorded_with_its_times_and_use(machine: Machine) -> None:
    exited = machine.run("a", "python3", "-c", "sum(range(10**6)); print('done')")

    replica = machine.replica("a")
    assert (exited.kind, exited.exit_code, exited.signal) == (ExitKind.SUCCEEDED, 0, 0)
    assert exited.cpu_seconds > 0
    assert exited.peak_memory_bytes > 10**6
    assert replica.started_at is not None
    assert replica.finished_at is not None
    assert replica.started_at < replica.finished_at
    assert machine.log("a") == "done\n"


def test_the_exit_code_is_kept(machine: Machine) -> None:
    exited = machine.run("a", "sh", "-c", "exit 42")

    assert (exited.kind, exited.exit_code) == (ExitKind.FAILED, 42)
    assert "42" in exited.sentence


def test_a_signal_that_we_did_not_send_is_named(machine: Machine) -> None:
    exited = machine.run("a", "sh", "-c", "kill -SEGV $$")

    assert (exited.kind, exited.signal) == (ExitKind.SIGNALED, 11)
    assert "SIGSEGV" in exited.sentence


@pytest.mark.parametrize("command", ["no-such-command", "./no-such-file", "/etc/passwd"])
def test_a_command_that_cannot_run_is_not_started_and_named(machine: Machine, command: str) -> None:
    exited = machine.run("a", command)

    assert exited.kind is ExitKind.NOT_STARTED
    assert command in exited.sentence
    assert machine.replica("a").started_at is None


def test_a_replica_over_its_time_is_asked_then_killed(machine: Machine) -> None:
    exited = machine.run("a", "sh", "-c", IGNORE_TERM, timeout=timedelta(seconds=0.3), grace=timedelta(seconds=0.3))

    assert (exited.kind, exited.signal) == (ExitKind.TIMED_OUT, 9)
    assert "0.3 s" in exited.sentence


def test_stop_lets_a_command_end_by_itself(machine: Machine) -> None:
    machine.start("a", "sh", "-c", "trap 'echo bye; exit 3' TERM; echo ready; while true; do sleep 0.05; done")
    machine.wait_for_log("a", "ready")

    machine.runtime.stop("a", timedelta(seconds=30))

    exited = machine.exit_of("a")
    assert (exited.kind, exited.exit_code) == (ExitKind.STOPPED, 3)
    assert machine.log("a").endswith("bye\n")


def test_stop_kills_the_whole_group_after_the_grace(machine: Machine) -> None:
    machine.start("a", "sh", "-c", f'sh -c "{IGNORE_TERM}" & echo child $!; {IGNORE_TERM}')
    child = int(machine.wait_for_log("a", "child").split()[machine.log("a").split().index("child") + 1])
    wait_for(lambda: machine.log("a").count("ready") == 2)

    machine.runtime.stop("a", timedelta(seconds=0.2))

    exited = machine.exit_of("a")
    assert (exited.kind, exited.signal) == (ExitKind.STOPPED, 9)
    assert "0.2 s" in exited.sentence
    assert not is_alive(child)


def test_stop_shortly_after_start_ends_the_replica_in_any_case(machine: Machine) -> None:
    for number in range(10):
        machine.start(f"a-{number}", "sleep", "1000")
        machine.runtime.stop(f"a-{number}", timedelta(seconds=5))

    assert {machine.exit_of(f"a-{number}").kind for number in range(10)} == {ExitKind.STOPPED}


@pytest.mark.parametrize("fixture", ["machine", "watched_machine"])
def test_nothing_of_a_finished_replica_is_left_running(fixture: str, request: pytest.FixtureRequest) -> None:
    machine: Machine = request.getfixturevalue(fixture)
    daemon = (
        "import os,time\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n"
        "print('daemon', os.getpid(), flush=True)\ntime.sleep(1000)"
    )

    machine.start(
        "a", "sh", "-c", f'sleep 1000 & echo child $!; python3 -c "{daemon}"; while [ ! -e go ]; do sleep 0.02; done'
    )
    words = machine.wait_for_log("a", "daemon").split()
    pids = [int(words[words.index(word) + 1]) for word in ("child", "daemon")]
    assert [is_alive(pid) for pid in pids] == [True, True]
    (machine.folder / "replicas" / "a" / "work" / "go").touch()

    assert machine.exit_of("a").kind is ExitKind.SUCCEEDED
    assert [is_alive(pid) for pid in pids] == [False, False]


@pytest.mark.skipif(not HAS_MEMORY_GROUP, reason="no memory control group can be made here")
def test_a_replica_over_its_memory_is_killed_by_its_control_group(machine: Machine) -> None:
    exited = machine.run("a", "python3", "-c", EAT_MEMORY, memory_mb=80)

    assert exited.kind is ExitKind.OUT_OF_MEMORY
    assert "80 MB" in exited.sentence
    assert 60 * 10**6 < exited.peak_memory_bytes <= 80 * 10**6
    assert "memory" in machine.replica("a").limits


def test_a_replica_over_its_memory_is_killed_by_the_watch(watched_machine: Machine) -> None:
    slowly = "import time\nheld = []\nwhile True: held.append(bytearray(10**7)); time.sleep(0.05)"

    exited = watched_machine.run("a", "python3", "-c", slowly, memory_mb=80)

    assert exited.kind is ExitKind.OUT_OF_MEMORY
    assert exited.peak_memory_bytes > 80 * 10**6
    assert "watched" in watched_machine.replica("a").limits


@pytest.mark.skipif(not HAS_PIDS_GROUP, reason="no pids control group can be made here")
def test_a_replica_cannot_have_more_processes_than_it_asked_for(machine: Machine) -> None:
    fork = (
        "import os,time\ntry:\n  while True:\n    if not os.fork(): time.sleep(1000)\nexcept OSError: print('refused')"
    )

    machine.run("a", "python3", "-c", fork, processes=20)

    assert "refused" in machine.log("a")


def test_a_replica_with_too_many_processes_is_ended_by_the_watch(watched_machine: Machine) -> None:
    many = "for i in $(seq 30); do sleep 1000 & done; wait"

    exited = watched_machine.run("a", "sh", "-c", many, processes=20)

    assert exited.kind is ExitKind.FAILED
    assert "limit is 20" in exited.sentence


def test_control_groups_are_removed_when_the_replica_has_ended(machine: Machine) -> None:
    machine.start("a", "sh", "-c", "while [ ! -e go ]; do sleep 0.02; done")
    machine.wait_for_state("a", ReplicaState.RUNNING)
    claim = machine.runtime._folders.live("a").claim()
    assert claim is not None
    assert [os.path.isdir(group) for group in claim.facts.groups] == [True] * len(claim.facts.groups)

    (machine.folder / "replicas" / "a" / "work" / "go").touch()

    machine.exit_of("a")
    assert [group for group in claim.facts.groups if os.path.isdir(group)] == []


def test_use_is_measured_while_the_replica_runs(machine: Machine) -> None:
    machine.start("a", "python3", "-c", "held = bytearray(5 * 10**7)\nprint('ready', flush=True)\nwhile True: pass")
    machine.wait_for_log("a", "ready")

    use = machine.runtime.use()["a"]

    assert use.memory_bytes > 5 * 10**7
    wait_for(lambda: machine.runtime.use()["a"].cpu_seconds > use.cpu_seconds)


def test_use_is_measured_without_control_groups(watched_machine: Machine) -> None:
    watched_machine.start(
        "a", "python3", "-c", "held = bytearray(5 * 10**7)\nprint('ready', flush=True)\nwhile True: pass"
    )
    watched_machine.wait_for_log("a", "ready")

    use = watched_machine.runtime.use()["a"]

    assert use.memory_bytes > 5 * 10**7
    wait_for(lambda: watched_machine.runtime.use()["a"].cpu_seconds > use.cpu_seconds)


def test_output_that_the_disk_refuses_is_counted_and_the_exit_still_recorded(
    make_machine: Callable[..., Machine],
) -> None:
    machine = make_machine()
    machine.start("a", "sh", "-c", "while [ ! -e go ]; do sleep 0.02; done; echo lost")
    machine.wait_for_state("a", ReplicaState.RUNNING)
    folder = machine.folder / "replicas" / "a"
    (folder / "log").rmdir()

    (folder / "work" / "go").touch()

    exited = machine.exit_of("a")
    assert exited.kind is ExitKind.SUCCEEDED
    assert "5 bytes of its output could not be written" in exited.sentence
