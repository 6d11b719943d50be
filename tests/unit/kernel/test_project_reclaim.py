"""A project gets back what it is promised, through the whole control plane."""

from __future__ import annotations

from lepton_ai.kernel.change import create
from lepton_ai.testing.behaviour import Behaviour
from lepton_ai.testing.machines import machine
from lepton_ai.types.base import Metadata
from lepton_ai.types.identity import Project, ProjectSpec
from lepton_ai.types.job import Job, JobSpec, JobState, JobStatus
from lepton_ai.types.task import Task
from tests.unit.kernel.rig import Rig

LONG = Behaviour(seconds=10_000).command()


def project(rig: Rig, name: str, **spec: object) -> None:
    metadata = Metadata(id=f"project-{name}", name=name, project="platform")
    rig.store.commit([create(Project(metadata=metadata, spec=ProjectSpec.model_validate(spec)))], actor="admin")


def submit(rig: Rig, of: str, name: str, **more: object) -> None:
    """Submit a job of one CPU that runs for hours and may be stopped."""
    spec = {"command": LONG, "preemptible": {}, "expected_duration": "3h", **more}
    metadata = Metadata(id=f"job-{name}", name=name, project=of)
    status = JobStatus(submitted_at=rig.clock.now())
    rig.store.commit([create(Job(metadata=metadata, spec=JobSpec.model_validate(spec), status=status))], actor="ada")


def states(rig: Rig, of: str) -> list[JobState]:
    return sorted(one.status.state for one in rig.store.page(Job, of))


def test_borrowers_make_room_for_who_is_promised_it_and_wait_again() -> None:
    rig = Rig(machine("a", threads=4))
    project(rig, "ada", quota={"cpu": 3})
    project(rig, "bob", quota={"cpu": 1})
    rig.work()
    for number in range(4):
        submit(rig, "bob", f"b{number}")
    rig.work(5)
    assert states(rig, "bob") == [JobState.RUNNING] * 4
    for number in range(4):
        submit(rig, "ada", f"a{number}")
    rig.work(60)
    assert states(rig, "ada") == [JobState.QUEUED, JobState.RUNNING, JobState.RUNNING, JobState.RUNNING]
    assert states(rig, "bob") == [JobState.QUEUED, JobState.QUEUED, JobState.QUEUED, JobState.RUNNING]


def test_nobody_is_told_what_the_work_of_other_projects_is_called() -> None:
    rig = Rig(machine("a", threads=2))
    project(rig, "ada", quota={"cpu": 1})
    project(rig, "bob", quota={"cpu": 1})
    rig.work()
    for number in range(3):
        submit(rig, "bob", f"secret-b{number}")
    rig.work(5)
    for number in range(2):
        submit(rig, "ada", f"secret-a{number}")
    rig.work(60)
    told = {of: {one.status.reason.sentence for one in rig.store.page(Task, of)} for of in ("ada", "bob")}
    stops = [event.sentence for event in rig.store.events("bob") if event.code == "preempted"]
    assert not [sentence for sentence in told["ada"] if "secret-b" in sentence]
    assert not [sentence for sentence in {*told["bob"], *stops} if "secret-a" in sentence or "ada" in sentence]
    assert "makes room for a task of another project on what project bob has borrowed" in stops[0]


def test_a_used_up_budget_stops_what_may_be_stopped() -> None:
    rig = Rig(machine("a", threads=4, devices=1))
    project(rig, "ada", budget={"device_hours": {"hard": 0.01}})
    submit(rig, "ada", "one", resources={"gpu": 1})
    rig.work(30)
    assert states(rig, "ada") == [JobState.RUNNING]
    rig.work(30)
    assert states(rig, "ada") == [JobState.QUEUED]
    told = [event.sentence for event in rig.store.events("ada") if event.code == "preempted"]
    assert "ends because project ada has used up its 0.01 device-hours" in told[0]
