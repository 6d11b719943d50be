"""What stays on disk of replicas that are over: what may still be asked for, and only as long as it may."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.integration.local_runtime.machine import Machine, wait_for

LITTER = "echo said; echo x > big; echo y > $TMPDIR/y; echo z > ../call.pickle; echo r > ../result.pickle; ln -s / ../l"


def _forget(machine: Machine, replica_id: str) -> Path:
    machine.runtime.forget(replica_id, delete_log=False)
    return machine.folder / "past" / replica_id


def _trash_is_empty(machine: Machine) -> bool:
    return not os.listdir(machine.folder / "trash")


def test_a_forgotten_replica_keeps_its_log_exit_and_result_alone(machine: Machine) -> None:
    machine.run("a", "sh", "-c", LITTER)

    past = _forget(machine, "a")

    assert sorted(os.listdir(past)) == ["claim.json", "exit.json", "log", "result.pickle"]
    assert machine.log("a") == "said\n"
    assert machine.runtime.read_result("a") == b"r\n"
    wait_for(lambda: _trash_is_empty(machine))
    assert Path("/etc").is_dir()


def test_past_replicas_that_nobody_knows_any_more_are_dropped_with_their_logs(
    make_machine: Callable[..., Machine],
) -> None:
    earlier = make_machine()
    for replica_id in ("known", "deleted"):
        earlier.run(replica_id, "echo", replica_id)
        _forget(earlier, replica_id)
    machine = make_machine()
    machine.run("new", "echo", "new")
    _forget(machine, "new")

    machine.runtime.keep_only({"known"})

    assert [machine.log(replica_id) for replica_id in ("known", "deleted", "new")] == ["known\n", "", "new\n"]
    assert sorted(os.listdir(machine.folder / "past")) == ["known", "new"]
    wait_for(lambda: _trash_is_empty(machine))


def test_a_link_or_a_wild_name_among_the_replicas_does_not_hinder_the_next_core(
    make_machine: Callable[..., Machine], tmp_path: Path
) -> None:
    make_machine().run("a", "sh", "-c", "ln -s /etc ../../linked; mkdir ../../-wild")

    machine = make_machine()

    assert list(machine.runtime.replicas()) == ["a"]
    wait_for(lambda: _trash_is_empty(machine))
    assert machine.run("b", "true").exit_code == 0
