"""Stopping everything before the platform ends."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

from lepton_ai.kernel.change import create
from lepton_ai.kernel.placing import Placing
from lepton_ai.kernel.queue import SnapshotBuilder
from lepton_ai.kernel.scheduling.snapshot import Policy
from lepton_ai.kernel.shutdown import REASON, stop_all_tasks
from lepton_ai.kernel.store import Store
from lepton_ai.kernel.store.store import LIST_MAX
from lepton_ai.testing.fakes import FakeClock
from lepton_ai.testing.platform import SETTINGS
from lepton_ai.types.job import JobState
from lepton_ai.types.task import Task, TaskState
from tests.unit.kernel.rig import RUNS_ON, Rig
from tests.unit.kernel.samples import task


def test_everything_that_runs_is_stopped_and_nothing_new_starts(tmp_path: Path) -> None:
    rig = Rig(database=f"sqlite:///{tmp_path / 'lepton.db'}")
    rig.submit("runs", command=RUNS_ON)
    rig.work(1)
    stopping = threading.Thread(
        target=stop_all_tasks, args=(rig.store, rig.core.placing, timedelta(seconds=30)), daemon=True
    )
    stopping.start()
    _until(lambda: _work(rig) and not stopping.is_alive())
    rig.submit("late")
    rig.work(5)
    assert rig.running() == []
    assert (rig.job("runs").status.state, rig.job("late").status.state) == (JobState.STOPPED, JobState.QUEUED)
    assert rig.tasks(rig.job("runs"))[0].spec.stop_reason == REASON


def test_tasks_that_run_are_found_behind_a_page_full_of_tasks_that_wait(store: Store) -> None:
    tasks = [task("task-00000", TaskState.RUNNING), *(task(f"task-{number:05}") for number in range(1, LIST_MAX + 2))]
    store.commit([create(one) for one in tasks], actor="platform")
    placing = Placing(SnapshotBuilder(SETTINGS, lambda _task: {}), Policy(), FakeClock())
    stop_all_tasks(store, placing, timedelta(seconds=0.06))
    assert placing.is_paused
    assert store.get(Task, "task-00000").spec.stop_requested
    assert not store.get(Task, "task-00001").spec.stop_requested


def _work(rig: Rig) -> bool:
    rig.work(0.5)
    return True


def _until(is_done: object) -> None:
    assert callable(is_done)
    pause = threading.Event()
    assert any(is_done() or pause.wait(0.02) for _ in range(500)), "it did not stop"
