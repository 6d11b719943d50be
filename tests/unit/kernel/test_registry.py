"""Services come and go: built-in ones and a third party's through one door, and what is left works without them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from lepton_ai.kernel.change import Note, create, update
from lepton_ai.kernel.decision import Decision
from lepton_ai.kernel.registry import AsgiApp, Door, Service, View, load_services
from lepton_ai.kernel.store import Store
from lepton_ai.services.endpoints import SERVICE as ENDPOINTS
from lepton_ai.services.jobs import SERVICE as JOBS
from lepton_ai.testing.platform import KERNEL_KINDS
from lepton_ai.types.base import AnyObject, Metadata, Model, Object, ObjectStatus
from lepton_ai.types.endpoint import EndpointState
from lepton_ai.types.job import Job, JobState
from lepton_ai.types.node import Node
from lepton_ai.types.task import Program, Task, TaskSpec
from tests.unit.kernel.rig import RUNS_ON, Rig

ENTRY_POINTS = "[lepton_ai.services]\nreports = reports_plugin:SERVICE\n"
PLUGIN = "from tests.unit.kernel.test_registry import REPORTS as SERVICE\n"


class ReportSpec(Model):
    title: str = ""


class Report(Object[ReportSpec, ObjectStatus]):
    """A kind that the platform has never heard of: each report is one task, and says so when that has ended."""

    KIND: ClassVar[str] = "report"
    PLURAL: ClassVar[str] = "reports"
    kind: Literal["report"] = "report"
    spec: ReportSpec = ReportSpec()
    status: ObjectStatus = ObjectStatus()


class Reports:
    """A third party's service, whole."""

    gateway: AsgiApp | None = None

    def decide(self, thing: AnyObject, view: View, now: datetime) -> Decision:
        tasks = view.tasks_of(thing.id)
        if not tasks:
            spec = TaskSpec(
                owner_kind="report", owner_name=thing.name, task_kind="report", program=Program(command=("true",))
            )
            metadata = Metadata(id=f"task-{thing.name}", name=f"task-{thing.name}", owner_id=thing.id)
            return Decision((create(Task(metadata=metadata, spec=spec)),))
        done = tasks[0].status.reason
        is_told = not tasks[0].is_final() or thing.status.reason == done
        return Decision() if is_told else Decision((update(thing.with_status(reason=done), Note("done", "Done.")),))

    def apply(self, view: View, now: datetime) -> None: ...

    def close(self) -> None: ...


def open_reports(_door: Door) -> Reports:
    return Reports()


REPORTS = Service(name="reports", kinds=(Report,), open=open_reports)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a distribution that brings a service, as pip would: its metadata lie on the path."""
    folder = tmp_path / "reports_plugin-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: reports-plugin\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "reports_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("reports_plugin", None)


def test_the_built_in_services_come_through_the_same_door_as_any_other() -> None:
    assert {"jobs", "endpoints"} <= load_services().keys()
    assert load_services()["jobs"].kinds == (Job,)


@pytest.mark.usefixtures("installed")
def test_a_third_partys_service_is_found_by_its_entry_point() -> None:
    found = load_services()
    assert list(found) == sorted(found)
    assert [kind.KIND for kind in found["reports"].kinds] == ["report"]


def test_a_third_partys_objects_are_decided_on_and_their_tasks_run() -> None:
    rig = Rig(services=[REPORTS])
    report = Report(metadata=Metadata(id="report-1", name="q3"), spec=ReportSpec(title="Q3"))
    rig.store.commit([create(report)], actor="ada")
    rig.work(5)
    assert rig.store.get(Report, "report-1").status.reason.sentence == "Ended with exit code 0."


def test_without_endpoints_jobs_run() -> None:
    rig = Rig(services=[JOBS])
    rig.submit()
    rig.work(7)
    assert rig.job().status.state is JobState.SUCCEEDED


def test_without_jobs_endpoints_serve() -> None:
    rig = Rig()
    rig.services = [service for service in rig.services if service.name == ENDPOINTS.name]
    rig.start()
    rig.serve()
    rig.work(2)
    assert rig.endpoint().status.state is EndpointState.READY
    assert [server.port for server in rig.plane.routes["default", "digits"].servers] == [20001]


def test_without_any_service_the_platform_still_knows_its_nodes() -> None:
    rig = Rig(services=[])
    rig.work(40)
    assert [node.name for node in rig.store.page(Node)] == ["node-1"]
    assert rig.core.loop.seconds_to_next() > 0


def test_what_a_removed_service_left_behind_runs_on_and_is_taken_up_when_it_is_back() -> None:
    rig = Rig()
    rig.submit(command=RUNS_ON)
    rig.work(1)
    services, rig.services = rig.services, []
    rig.start()
    rig.work(40)
    assert rig.running() == ["task-train-0-1-0"]
    rig.services = services
    rig.start()
    rig.change(rig.job(), stop_requested=True)
    rig.work(5)
    assert (rig.running(), rig.job().status.state) == ([], JobState.STOPPED)


def test_objects_of_a_removed_service_are_left_in_the_database_untouched() -> None:
    rig = Rig()
    job = rig.submit(command=RUNS_ON)
    kernel_alone = Store(rig.engine, rig.clock, KERNEL_KINDS)
    assert [seen.object.id for seen in kernel_alone.changes(0)] == []
    assert rig.store.get(Job, job.id) == job
