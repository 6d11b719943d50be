"""A seed is a whole history: it can be replayed, and what the simulation watches for it does see."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta

import pytest

from lepton_ai.kernel.change import Committed, Seen, create, update
from lepton_ai.testing.behaviour import Behaviour
from lepton_ai.testing.fakes import FakeClock
from lepton_ai.testing.invariants import Watch
from lepton_ai.testing.machines import machine
from lepton_ai.testing.runtime import FakeRuntime
from lepton_ai.testing.simulation import Simulation, run_seed
from lepton_ai.testing.verdict import check_jobs, check_machines
from lepton_ai.types.job import JobState
from lepton_ai.types.task import TaskState
from tests.unit.kernel.rig import RUNS_ON, Rig
from tests.unit.kernel.samples import later, task

SEED = 7
HISTORY = "from lepton_ai.testing.simulation import Simulation; s = Simulation({seed}); s.run(); print(s.history())"


def test_a_seed_gives_the_same_history_in_every_process() -> None:
    """Sets iterate in another order in each process; a failure that could not be replayed would be worth nothing."""
    first, second = (_history(hash_seed) for hash_seed in ("1", "2"))
    assert first == second
    assert "submitted" in first


def test_different_seeds_give_different_histories() -> None:
    one, other = Simulation(1), Simulation(2)
    one.run()
    other.run()
    assert one.history() != other.history()


def test_a_seed_has_users_crashes_and_work_in_it() -> None:
    simulation = Simulation(SEED)
    simulation.run()
    assert simulation.crashes > 0
    assert simulation.watch.most_running > 1
    assert len(simulation.users.jobs) > 3


def test_a_seed_that_holds_says_nothing() -> None:
    assert run_seed(SEED) == ""


def test_the_command_that_replays_a_seed_works_as_printed() -> None:
    command = [sys.executable, "-m", "lepton_ai.testing.simulation", str(SEED)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "1 of 1 seeds hold.")


def test_the_watch_sees_a_node_that_runs_more_than_it_has() -> None:
    rig = Rig(machine("node-1", threads=1))
    rig.submit("first", command=RUNS_ON)
    rig.work()
    other = Rig(machine("node-1", threads=1))
    other.submit("second", command=RUNS_ON)
    other.work()
    rig.runtime.fleet["node-1"].processes |= other.runtime.fleet["node-1"].processes
    with pytest.raises(AssertionError, match="node-1 runs 2000 milli-CPU"):
        Watch(rig.runtime).see_machines(rig.clock.now())


def test_the_watch_sees_a_replica_that_is_launched_twice() -> None:
    rig = Rig(machine("node-1"))
    rig.submit(command=RUNS_ON)
    watch = Watch(rig.runtime)
    rig.work()
    watch.see_launches(rig.clock.now())
    rig.runtime.fleet["node-1"].processes.clear()
    rig.clock.advance(timedelta(seconds=1))
    again = Rig(machine("node-1"))
    again.submit(command=RUNS_ON)
    again.work()
    rig.runtime.fleet["node-1"].processes |= again.runtime.fleet["node-1"].processes
    with pytest.raises(AssertionError, match="was launched twice"):
        watch.see_launches(rig.clock.now())


def test_the_watch_sees_a_move_that_is_not_legal_and_one_without_an_event() -> None:
    watch = Watch(FakeRuntime(FakeClock(), [machine("node-1")]))
    before, silent = task(), task(state=TaskState.STARTING)
    watch.see_commit([create(before)], Committed(1, (Seen(before, 1, True, False),)))
    with pytest.raises(AssertionError, match="without an event"):
        watch.see_commit([update(silent)], Committed(2, (Seen(silent, 2, True, False),)))
    illegal = task(state=TaskState.WAITING)
    with pytest.raises(AssertionError, match="went from starting to waiting"):
        watch.see_commit([update(illegal)], Committed(3, (Seen(illegal, 3, True, False),)))


def test_the_verdict_sees_an_orphan() -> None:
    rig = Rig()
    rig.submit(command=RUNS_ON)
    rig.work()
    with pytest.raises(AssertionError, match="orphans"):
        check_machines(Rig().store, rig.runtime, rig.clock.now())


def test_the_verdict_sees_a_job_that_is_lost() -> None:
    simulation = Simulation(SEED)
    simulation.run()
    with pytest.raises(AssertionError, match="was acknowledged and is lost"):
        check_jobs(Rig().store, simulation.runtime, simulation.users)


def test_the_verdict_sees_a_job_that_did_not_end_as_its_replicas_did() -> None:
    simulation = Simulation(SEED)
    simulation.users.jobs.clear()
    rig = Rig()
    job = rig.submit(command=Behaviour(seconds=1, exit_code=1).command())
    rig.work(5)
    simulation.users.jobs[job.id] = job
    check_jobs(rig.store, rig.runtime, simulation.users)
    wrong = rig.job().with_status(state=JobState.SUCCEEDED)
    rig.store.commit([update(wrong)], actor="platform")
    with pytest.raises(AssertionError, match=job.id):
        check_jobs(rig.store, rig.runtime, simulation.users)


def test_time_does_not_go_back() -> None:
    clock = FakeClock(later(5))
    with pytest.raises(AssertionError, match="time does not go back"):
        clock.advance(timedelta(seconds=-1))


def _history(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", HISTORY.format(seed=SEED)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment).stdout
