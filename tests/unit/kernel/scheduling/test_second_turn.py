"""Where only a dearer kind of device has room, whoever needs just that kind goes before those who take any."""

from __future__ import annotations

from lepton_ai.kernel.scheduling.snapshot import Demand, Expectation, RunningTask, WaitingTask
from lepton_ai.types.resources import AcceleratorRequest
from tests.unit.kernel.scheduling.worlds import GB, NOW, node, places, plan_of, running, task, wait_of

MANY = node("many", 8, *["t4"] * 4)
FEW = node("few", 8, "h100")


def taker(name: str, kind: str = "", *, seconds: float = 60, age: float = 0) -> WaitingTask:
    return task(name, gpu=AcceleratorRequest(kind=kind), seconds=seconds, age=age)


def busy(devices: int) -> list[RunningTask]:
    """The common kind is taken, but for what `devices` leave over, for long."""
    return [running("train", MANY, 1, ends_in=90_000, devices=devices)]


def test_the_one_that_needs_the_free_kind_goes_before_a_shorter_one_that_takes_any() -> None:
    queue = [taker("any", seconds=60), taker("picky", "h100", seconds=120)]
    assert places(plan_of([MANY, FEW], queue, busy(4))) == {"picky": ["few"]}


def test_who_gives_way_is_told_so_with_the_index_that_it_had_there() -> None:
    queue = [taker("any", seconds=60), taker("picky", "h100", seconds=120)]
    plan = plan_of([MANY, FEW], queue, busy(4))
    wait = wait_of(plan, "any")
    assert wait.rank == 1
    assert "a dearer kind had room, where others come before it" in wait.sentence
    assert wait.terms["index_second_turn"] < plan.placements[0].terms["index"] < wait.terms["index"]


def test_who_starts_at_its_second_turn_shows_the_index_that_it_had_there() -> None:
    queue = [taker("any", seconds=60), task("large", 9, gpu=AcceleratorRequest(kind="h100"))]
    terms = plan_of([MANY, FEW], [*queue, taker("picky", "h100", seconds=9000)], busy(4)).placements[0].terms
    assert terms["index_second_turn"] < terms["index"]


def test_the_one_that_takes_any_goes_first_if_it_is_shorter_by_more_than_the_kind_is_dearer() -> None:
    queue = [taker("any", seconds=1), taker("picky", "h100", seconds=6000)]
    assert places(plan_of([MANY, FEW], queue, busy(4))) == {"any": ["few"]}


def test_what_nobody_else_can_use_is_not_left_idle() -> None:
    queue = [taker("any", seconds=60), task("large", 9, gpu=AcceleratorRequest(kind="h100"))]
    assert places(plan_of([MANY, FEW], queue, busy(4))) == {"any": ["few"]}


def test_on_the_common_kind_it_keeps_its_place() -> None:
    queue = [taker("any", seconds=60), taker("picky", "h100", seconds=120), taker("later", "t4", seconds=90)]
    assert places(plan_of([MANY, FEW], queue, busy(3))) == {"any": ["many"], "picky": ["few"]}


def test_a_kind_on_which_it_is_faster_by_more_than_that_costs_is_no_second_choice() -> None:
    expected = {"t4": Expectation(600_000, 600_000, "stated"), "h100": Expectation(60, 60, "stated")}
    fast = WaitingTask("fast", "fast", Demand(1000, GB, AcceleratorRequest()), 1.0, NOW, expected)
    queue = [fast, taker("picky", "h100", seconds=120)]
    assert places(plan_of([MANY, FEW], queue)) == {"fast": ["few"]}


def test_whoever_has_waited_beyond_the_bound_is_not_put_off() -> None:
    queue = [taker("any", age=8 * 86_400), taker("picky", "h100", seconds=120)]
    assert places(plan_of([MANY, FEW], queue, busy(4))) == {"any": ["few"]}
