"""What a replica finds when it starts: environment, secrets, port, working directory, and its log as others read it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lepton_ai.backends.local_runtime.ports import is_free
from lepton_ai.backends.local_runtime.preparation import Progress
from lepton_ai.errors import InvalidInput, NotFound, TooLarge
from lepton_ai.node.replica_folder import RESULT_BYTES_MAX
from lepton_ai.types.task import ExitKind, Program, ReplicaState
from tests.integration.local_runtime.machine import Machine, order_of, wait_for

SECRET = "quite-secret-7f3a"


def prepare_greeting(program: Program, folder: Path, on_progress: Progress) -> Path | None:
    (folder / "greeting").write_text("hello from the bundle\n")
    return folder.parent.parent / "environment" / "bin"


def test_the_environment_is_the_orders_and_little_else(machine: Machine) -> None:
    os.environ["CORE_ONLY"] = "1"
    machine.runtime.start(replace(order_of("a", "env"), env={"RANK": "0"}, secrets={"KEY": SECRET}))

    machine.exit_of("a")
    found = dict(line.split("=", 1) for line in machine.log("a").splitlines())
    work = str(machine.folder / "replicas" / "a" / "work")
    assert (found["RANK"], found["KEY"], found["HOME"], found["PYTHONUNBUFFERED"]) == ("0", SECRET, work, "1")
    assert set(found) <= {
        *("PATH", "HOME", "LANG", "TMPDIR", "PYTHONUNBUFFERED", "RANK", "KEY"),
        *("LEPTON_REPLICA_FOLDER", "PWD", "SHLVL", "_"),
    }


def test_a_secret_is_in_no_file_and_no_argument(machine: Machine) -> None:
    machine.runtime.start(replace(order_of("a", "sleep", "1000"), secrets={"KEY": SECRET}))
    machine.wait_for_state("a", ReplicaState.RUNNING)

    files = [path for path in machine.folder.rglob("*") if path.is_file()]
    supervisor = Path(f"/proc/{machine.supervisor('a')}")
    shown = [path.read_bytes() for path in [*files, supervisor / "cmdline", supervisor / "environ"]]
    assert [text for text in shown if SECRET.encode() in text] == []
    assert [path for path in files if path.stat().st_mode & 0o077] == []


def test_a_program_that_listens_gets_a_port_of_its_own(machine: Machine) -> None:
    for name in ("a", "b"):
        machine.start(name, "sh", "-c", "echo $PORT; sleep 1000", needs_port=True)
    ports = [int(machine.wait_for_log(name, "\n")) for name in ("a", "b")]

    assert [machine.replica(name).port for name in ("a", "b")] == ports
    assert len(set(ports)) == 2


def test_a_command_may_name_its_port_without_a_shell(machine: Machine) -> None:
    machine.start("a", "echo", "--port=$PORT", "${PORT}", needs_port=True)
    machine.exit_of("a")

    port = machine.replica("a").port
    assert machine.log("a") == f"--port={port} {port}\n"


def test_gangs_meet_at_ports_of_their_own(machine: Machine) -> None:
    ports = [machine.runtime.free_port("here") for _ in range(20)]

    assert len(set(ports)) == 20
    with pytest.raises(NotFound, match="elsewhere"):
        machine.runtime.free_port("elsewhere")


def test_the_ranks_of_a_gang_are_told_the_interface_of_their_node_unless_the_user_chose_one(machine: Machine) -> None:
    order = order_of("a", "sh", "-c", "echo $NCCL_SOCKET_IFNAME $GLOO_SOCKET_IFNAME")
    machine.runtime.start(replace(order, env={"NCCL_SOCKET_IFNAME": "ib0"}, gang=(order.allocation,) * 2))

    machine.exit_of("a")
    assert machine.log("a") == "ib0 lo\n"


def test_a_gang_meets_at_a_port_that_is_free_at_every_address(machine: Machine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", 0))
        port = taken.getsockname()[1]
        assert not is_free("", port)
        assert is_free("127.0.0.1", port)


def test_the_prepared_files_are_the_working_directory(make_machine: Callable[..., Machine]) -> None:
    machine = make_machine(prepare=prepare_greeting)

    exited = machine.run("a", "sh", "-c", "cat greeting; echo $PATH; echo $VIRTUAL_ENV", bundle="digest")

    assert exited.kind is ExitKind.SUCCEEDED
    greeting, path, virtual_environment = machine.log("a").splitlines()
    assert greeting == "hello from the bundle"
    assert path.startswith(f"{virtual_environment}/bin:")


def test_a_preparation_that_fails_ends_the_replica_with_its_sentence(make_machine: Callable[..., Machine]) -> None:
    def refuse(program: Program, folder: Path, on_progress: Progress) -> Path | None:
        raise InvalidInput("There is no torch==0.0.1.", hint="Choose another.")

    machine = make_machine(prepare=refuse)

    exited = machine.run("a", "true", requirements=("torch==0.0.1",))

    assert (exited.kind, exited.sentence) == (ExitKind.NOT_STARTED, "There is no torch==0.0.1. Choose another.")


def test_a_preparation_with_a_mistake_does_not_leave_the_replica_waiting(make_machine: Callable[..., Machine]) -> None:
    def err(program: Program, folder: Path, on_progress: Progress) -> Path | None:
        raise ZeroDivisionError

    machine = make_machine(prepare=err)

    exited = machine.run("a", "true", bundle="digest")

    assert exited.kind is ExitKind.NOT_STARTED


def test_a_replica_that_is_prepared_says_so_and_can_be_stopped(make_machine: Callable[..., Machine]) -> None:
    go = threading.Event()

    def wait(program: Program, folder: Path, on_progress: Progress) -> Path | None:
        on_progress("downloading 1 of 2")
        go.wait(60)
        return None

    machine = make_machine(prepare=wait)
    machine.start("a", "true", requirements=("torch==2.13.0", "numpy"))
    wait_for(lambda: machine.replica("a").sentence == "downloading 1 of 2")
    machine.start("b", "true", requirements=("torch==2.13.0", "numpy"))
    machine.start("c", "true", requirements=("torch==2.13.0", "numpy"))
    assert machine.replica("c").sentence == "building the environment: torch==2.13.0, numpy"

    for name in ("a", "b", "c"):
        machine.runtime.stop(name, timedelta(seconds=1))

    assert {machine.exit_of(name).kind for name in ("a", "b", "c")} == {ExitKind.STOPPED}
    go.set()
    assert [machine.log(name) for name in ("a", "b", "c")] == ["", "", ""]


def test_a_log_is_read_on_from_where_the_reader_was(machine: Machine) -> None:
    machine.run("a", "sh", "-c", "printf one; printf two >&2; printf three")

    first = machine.runtime.read_log("a", 0, 4)
    second = machine.runtime.read_log("a", first.next_offset, 100)

    assert (first.text + second.text, first.is_complete, second.is_complete) == (b"onetwothree", False, True)


def test_a_long_log_keeps_its_newest_part_under_absolute_offsets(make_machine: Callable[..., Machine]) -> None:
    machine = make_machine(log_bytes_max=64 * 1024)
    machine.run("a", "python3", "-c", "for n in range(50000): print(f'{n:09d}')")

    chunk = machine.runtime.read_log("a", 0, 10**6)

    assert chunk.offset > 0
    assert chunk.next_offset == 500_000
    assert 48 * 1024 < len(chunk.text) <= 64 * 1024
    assert chunk.text.endswith(b"000049999\n")
    assert machine.runtime.read_log("a", 490_000, 10).text == b"000049000\n"


def test_a_forgotten_replica_keeps_its_log_until_it_is_deleted(machine: Machine) -> None:
    machine.run("a", "echo", "kept")

    machine.runtime.forget("a", delete_log=False)
    kept = machine.runtime.read_log("a", 0, 100)
    machine.runtime.forget("a", delete_log=True)

    assert machine.runtime.replicas() == {}
    assert (kept.text, kept.is_complete) == (b"kept\n", True)
    assert machine.log("a") == ""
    wait_for(lambda: not list((machine.folder / "trash").iterdir()))


def test_a_running_replica_is_not_forgotten(machine: Machine) -> None:
    machine.start("a", "sleep", "1000")

    machine.runtime.forget("a", delete_log=True)

    assert "a" in machine.runtime.replicas()


def test_a_result_is_read_back_unless_it_is_too_large(machine: Machine) -> None:
    machine.run("small", "sh", "-c", "printf value > ../result.pickle")
    machine.run("large", "truncate", "-s", str(RESULT_BYTES_MAX + 1), "../result.pickle")

    assert machine.runtime.read_result("small") == b"value"
    with pytest.raises(TooLarge, match=str(RESULT_BYTES_MAX + 1)):
        machine.runtime.read_result("large")


@pytest.mark.parametrize("replica_id", ["../a", "", ".", "a/b", "-a", "a\n", "a" * 129])
def test_an_id_that_is_no_file_name_is_refused(machine: Machine, replica_id: str) -> None:
    with pytest.raises(InvalidInput, match="not a replica id"):
        machine.start(replica_id, "true")


def test_the_node_tells_how_it_holds_limits(watched_machine: Machine) -> None:
    (node,) = watched_machine.runtime.nodes()

    assert node.name == "here"
    assert "memory and processes watched every 0.5 s" in node.limits
