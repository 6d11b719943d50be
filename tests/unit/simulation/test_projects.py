"""Who shares the nodes in a replay, and what each got."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lepton_ai.errors import InvalidInput
from lepton_ai.kernel.scheduling.snapshot import Bounds, ProjectView, Restart
from lepton_ai.simulation.by_project import ProjectFigures, by_project
from lepton_ai.simulation.engine import Rules, replay
from lepton_ai.simulation.projects import shared_by, what_if
from lepton_ai.simulation.told import Known
from lepton_ai.simulation.trace import TraceTask
from lepton_ai.types.identity import ProjectSpec
from lepton_ai.types.share import Amounts, Budget, Ceiling
from tests.unit.simulation.works import GPU_NODE, trace, work


def of(project: str, task: TraceTask, **more: object) -> TraceTask:
    return replace(task, project=project, **more)  # type: ignore[arg-type]


def got(*tasks: TraceTask, projects: tuple[ProjectView, ...] = ()) -> dict[str, ProjectFigures]:
    outcome = replay(trace(*tasks), [GPU_NODE], Known(), Rules(projects=projects))
    return {one.project: one for one in by_project(outcome, projects, max(outcome.ends.values()))}


PROMISED = (ProjectView("ada", quota=Bounds(devices={"": 4000})), ProjectView("bob"))


def test_each_projects_share_hours_and_waits_are_its_own() -> None:
    found = got(of("ada", work("a", 0, 3600, 4)), of("bob", work("b", 0, 7200, 8)))
    assert [found[name].share for name in ("ada", "bob")] == pytest.approx([4 / 24, 16 / 24])
    assert [found[name].hours for name in ("ada", "bob")] == pytest.approx([4.0, 16.0])
    assert (found["ada"].waits.mean, found["bob"].waits.mean) == (0.0, 3600.0)


def test_what_is_held_beyond_the_promise_is_borrowed() -> None:
    found = got(of("ada", work("a", 0, 3600, 8)), of("bob", work("b", 0, 3600, 8)), projects=PROMISED)
    assert found["ada"].borrowed_hours == pytest.approx(4.0)
    assert found["bob"].borrowed_hours is None


def test_borrowed_work_gives_way_to_who_is_promised_it_and_is_counted() -> None:
    lent = of("bob", work("b", 0, 7200, 8), restart=Restart(30.0))
    found = got(lent, of("ada", work("a", 600, 600, 4)), projects=PROMISED)
    assert (found["ada"].reclaimed, found["bob"].reclaimed) == (0, 1)
    assert found["ada"].waits.mean < 60


def test_a_project_counts_what_those_below_it_hold() -> None:
    projects = (ProjectView("lab", quota=Bounds(devices={"h100": 1000})), ProjectView("ada", parent="lab"))
    found = got(of("ada", work("a", 0, 3600, 2)), projects=projects)
    assert (found["lab"].hours, found["lab"].borrowed_hours or 0.0) == pytest.approx((2.0, 1.0))


def test_one_project_alone_has_no_figures_of_its_own() -> None:
    assert got(of("ada", work("a", 0, 60))) == {}


def test_a_limit_is_kept_in_the_replay() -> None:
    capped = (ProjectView("ada", limit=Bounds(devices={"": 4000})),)
    found = got(*(of("ada", work(f"a{number}", 0, 600, 4)) for number in range(2)), projects=capped)
    assert found["ada"].waits.longest == 600.0


def test_bounds_are_changed_as_the_api_changes_them() -> None:
    specs = {"ada": ProjectSpec(quota=Amounts(cpu=8, accelerators={"h100": 4}))}
    found = what_if(specs, ["ada", "bob"], {"ada": {"quota": {"cpu": None, "memory": "1GB"}}, "bob": {"weight": "2"}})
    assert found["ada"].quota == Amounts(memory=10**9, accelerators={"h100": 4})
    assert [view.weight for view in shared_by(found)] == [1.0, 2.0]


def test_projects_that_say_nothing_share_one_queue_and_budgets_of_today_are_left_out() -> None:
    budget = Budget(device_hours=Ceiling(hard=1))
    assert shared_by({"ada": ProjectSpec(budget=budget), "bob": ProjectSpec()}) == ()


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"quota": {"memory": "much"}}, "Project 'ada': quota memory:"),
        ({"weight": "-1"}, "Project 'ada': weight:"),
        ({"quota": {"cpu": 8}, "limit": {"cpu": 4}}, "would be promised 8 cpu and hold 4 at most"),
    ],
)
def test_bounds_that_cannot_be_are_refused(patch: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        what_if({"ada": ProjectSpec()}, [], {"ada": patch})
    assert message in str(raised.value)


def test_an_unknown_project_is_told_with_those_that_are_known() -> None:
    with pytest.raises(InvalidInput) as raised:
        what_if({}, ["ada", "bob"], {"adda": {"weight": 2}})
    assert "Known: ada, bob." in str(raised.value)
