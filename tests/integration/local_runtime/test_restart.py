"""The core and the supervisors may be killed between any two lines: nothing is lost, run twice or left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from lepton_ai.backends.local_runtime import LocalNode, LocalRuntime
from lepton_ai.node.log_reader import read_log
from lepton_ai.node.replica_folder import Facts, ReplicaFolder
from lepton_ai.types.node import NodeUse
from lepton_ai.types.task import ExitKind, ReplicaState
from tests.integration.local_runtime.machine import HARDWARE, Machine, is_alive, order_of, wait_for

ROOT = Path(__file__).parents[3]
WAIT_FOR_GO = "echo began >> ../../../../marks; echo ready; while [ ! -e go ]; do sleep 0.02; done; echo went; exit 7"


def run_doomed_core(folder: Path, *command: str, milliseconds: int = 500) -> ReplicaFolder:
    """Run a core that starts the replica "a" and then kills its whole process group; return the replica's folder."""
    module = [sys.executable, "-m", "tests.integration.local_runtime.core"]
    arguments = [str(folder / "runtime"), str(milliseconds), *command]
    done = subprocess.run([*module, *arguments], cwd=ROOT, start_new_session=True, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    return ReplicaFolder(folder / "runtime" / "replicas" / "a")


def test_a_replica_outlives_the_core_and_the_next_core_sees_its_end(
    make_machine: Callable[..., Machine], tmp_path: Path
) -> None:
    run_doomed_core(tmp_path, "sh", "-c", WAIT_FOR_GO)

    machine = make_machine()
    machine.wait_for_state("a", ReplicaState.RUNNING)
    machine.wait_for_log("a", "ready")
    (tmp_path / "runtime" / "replicas" / "a" / "work" / "go").touch()

    exited = machine.exit_of("a")
    assert (exited.kind, exited.exit_code) == (ExitKind.FAILED, 7)
    assert machine.log("a") == "ready\nwent\n"
    assert (tmp_path / "marks").read_text() == "began\n"


def test_a_replica_that_ended_while_no_core_ran_is_found_with_its_exit(
    make_machine: Callable[..., Machine], tmp_path: Path
) -> None:
    run_doomed_core(tmp_path, "sh", "-c", "sleep 0.6; exit 5")
    wait_for((tmp_path / "runtime" / "replicas" / "a" / "exit.json").exists)

    machine = make_machine()

    replica = machine.replica("a")
    assert replica.state is ReplicaState.EXITED
    assert replica.exit is not None
    assert (replica.exit.kind, replica.exit.exit_code) == (ExitKind.FAILED, 5)


def test_an_adopted_replica_can_be_stopped(make_machine: Callable[..., Machine], tmp_path: Path) -> None:
    run_doomed_core(tmp_path, "sleep", "1000")
    machine = make_machine()

    machine.runtime.stop("a", timedelta(seconds=5))

    assert machine.exit_of("a").kind is ExitKind.STOPPED


def test_a_supervisor_holds_nothing_of_the_core(tmp_path: Path, make_machine: Callable[..., Machine]) -> None:
    run_doomed_core(tmp_path, "sleep", "1000")  # would never return if anybody still held the core's output

    machine = make_machine()
    machine.wait_for_state("a", ReplicaState.RUNNING)
    supervisor = machine.supervisor("a")
    opened = {os.readlink(f"/proc/{supervisor}/fd/{fd}") for fd in os.listdir(f"/proc/{supervisor}/fd")}
    assert {path.split(":")[0] for path in opened} <= {"/dev/null", "pipe"} | {path for path in opened if "/a/" in path}
    assert os.getsid(supervisor) == supervisor


def test_orders_that_are_repeated_run_once(machine: Machine, tmp_path: Path) -> None:
    for _ in range(5):
        machine.start("a", "sh", "-c", "echo began >> ../../../../marks")

    machine.exit_of("a")
    machine.start("a", "sh", "-c", "echo began >> ../../../../marks")
    machine.runtime.forget("a", delete_log=False)
    machine.start("a", "sh", "-c", "echo began >> ../../../../marks")

    assert machine.runtime.replicas() == {}
    assert (tmp_path / "marks").read_text() == "began\n"


def test_a_replica_that_was_barred_never_starts_not_even_by_a_later_core(
    make_machine: Callable[..., Machine], tmp_path: Path
) -> None:
    machine = make_machine()
    assert machine.runtime.bar("a", 0)
    assert not machine.runtime.bar("a", 0)

    later = make_machine()
    for core in (machine, later):
        core.start("a", "sh", "-c", "echo began >> ../../../../marks")

    assert [core.exit_of("a").kind for core in (machine, later)] == [ExitKind.STOPPED] * 2
    assert not (tmp_path / "marks").exists()


def test_two_cores_that_start_the_same_replica_run_it_once(
    make_machine: Callable[..., Machine], tmp_path: Path
) -> None:
    first, second = make_machine(), make_machine()

    for number in range(20):
        first.start(f"a-{number}", "sh", "-c", f"echo {number} >> ../../../../marks; sleep 0.1")
        second.start(f"a-{number}", "sh", "-c", f"echo {number} >> ../../../../marks; sleep 0.1")

    kinds = [core.exit_of(f"a-{number}").kind for core in (first, second) for number in range(20)]
    assert set(kinds) == {ExitKind.SUCCEEDED}
    assert sorted(map(int, (tmp_path / "marks").read_text().split())) == list(range(20))


def test_a_replica_on_a_leash_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as holder:
        runtime = LocalRuntime(tmp_path / "runtime", LocalNode("here", HARDWARE, NodeUse, leash=holder.pid))
        runtime.start(order_of("a", "sleep", "1000"))
        wait_for(lambda: runtime.replicas()["a"].state is ReplicaState.RUNNING)
        holder.kill()
    wait_for(lambda: runtime.replicas()["a"].state is ReplicaState.EXITED)
    runtime.start(order_of("b", "sleep", "1000"))
    wait_for(lambda: runtime.replicas()["b"].state is ReplicaState.EXITED)

    exits = [replica.exit for replica in runtime.replicas().values()]
    assert [found.kind for found in exits if found] == [ExitKind.LOST] * 2
    runtime.close()


@pytest.mark.parametrize("fixture", ["machine", "watched_machine"])
def test_a_killed_supervisor_leaves_a_lost_replica_and_no_orphan(fixture: str, request: pytest.FixtureRequest) -> None:
    machine: Machine = request.getfixturevalue(fixture)
    machine.start("a", "sh", "-c", "setsid sleep 1000 & echo $$ $!; sleep 1000")
    wait_for(lambda: len(machine.log("a").split()) == 2)
    pids = [int(word) for word in machine.log("a").split()]

    os.kill(machine.supervisor("a"), signal.SIGKILL)

    assert machine.exit_of("a").kind is ExitKind.LOST
    assert [is_alive(pid) for pid in pids] == [False, False]


def test_a_supervisor_that_was_killed_while_no_core_ran_is_found_lost(
    make_machine: Callable[..., Machine], tmp_path: Path
) -> None:
    folder = run_doomed_core(tmp_path, "sh", "-c", "setsid sleep 1000 & echo $!; sleep 1000")
    pid = int(read_log(folder.path / "log", 0, 100).text)
    claim = folder.claim()
    assert claim is not None
    os.kill(claim.pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(claim.pid))

    machine = make_machine()

    assert machine.exit_of("a").kind is ExitKind.LOST
    assert not is_alive(pid)


@pytest.mark.parametrize("milliseconds", [0, 2, 4, 6, 8, 10, 12, 14, 16, 20])
def test_a_core_killed_around_a_start_and_its_successor_run_the_replica_once(
    make_machine: Callable[..., Machine], tmp_path: Path, milliseconds: int
) -> None:
    command = ("sh", "-c", "echo began >> ../../../../marks; sleep 0.2")
    run_doomed_core(tmp_path, *command, milliseconds=milliseconds)

    machine = make_machine()

    assert machine.run("a", *command).kind is ExitKind.SUCCEEDED
    assert (tmp_path / "marks").read_text() == "began\n"


def test_what_never_came_to_run_vanishes_and_may_be_started_again(
    make_machine: Callable[..., Machine], tmp_path: Path
) -> None:
    for name in ("never-claimed", "claimed-by-a-core"):
        (tmp_path / "runtime" / "replicas" / name).mkdir(parents=True)
    first = make_machine()
    first.runtime._folders.live("claimed-by-a-core").path.mkdir()
    first.runtime._folders.live("claimed-by-a-core").claim_for_core(Facts(0))

    machine = make_machine()

    assert machine.runtime.replicas() == {}
    assert machine.run("claimed-by-a-core", "true").kind is ExitKind.SUCCEEDED


def test_a_claim_of_a_process_number_that_passed_to_another_is_not_believed(
    make_machine: Callable[..., Machine], tmp_path: Path
) -> None:
    bystander = subprocess.Popen(["sleep", "1000"])
    folder = make_machine().runtime._folders.live("a")
    folder.make()
    folder.claim_for_core(Facts(0))
    claim = folder.path / "claim.json"
    claim.write_text(claim.read_text().replace('"pid": 0', f'"pid": {bystander.pid}'))

    machine = make_machine()

    assert machine.exit_of("a").kind is ExitKind.LOST
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_a_hundred_replicas_at_once_all_end_well(machine: Machine) -> None:
    for number in range(100):
        machine.start(f"a-{number}", "sh", "-c", f"echo {number}")

    assert {machine.exit_of(f"a-{number}").kind for number in range(100)} == {ExitKind.SUCCEEDED}
    assert [machine.log(f"a-{number}") for number in range(100)] == [f"{number}\n" for number in range(100)]
