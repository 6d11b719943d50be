"""The seeded simulation: the real control plane in a world where everything goes wrong, until it must all come right.

`python -m lepton_ai.testing.simulation 4711` replays seed 4711; two numbers run all seeds from the first up to, but
without, the second. A seed is a whole history: the same faults strike the same calls.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import sqlalchemy as sa

from lepton_ai.kernel.backoff import LONGEST
from lepton_ai.kernel.registry import Door, OpenService
from lepton_ai.services.endpoints import SERVICE as ENDPOINTS
from lepton_ai.services.endpoints.prober import Target
from lepton_ai.services.endpoints.service import Endpoints
from lepton_ai.services.jobs import SERVICE as JOBS
from lepton_ai.testing import verdict
from lepton_ai.testing.fakes import FakeClock, FakeDataPlane, FakeProber
from lepton_ai.testing.faults import Crashed, Faults
from lepton_ai.testing.invariants import Mistakes, Watch
from lepton_ai.testing.machines import random_machines
from lepton_ai.testing.platform import KERNEL_KINDS, Core, FaultyStore, empty_engine
from lepton_ai.testing.runtime import FakeNode, FakeRuntime
from lepton_ai.testing.users import Users
from lepton_ai.types.base import AnyObject
from lepton_ai.types.endpoint import Endpoint
from lepton_ai.types.node import Node
from lepton_ai.types.task import Task, TaskState

ROUNDS = 14  # steps of the troubled time, each with a pass or more
CALM = timedelta(minutes=5)  # in which endpoints come up, and those that cannot fail a dozen times
END = timedelta(hours=2)  # in which all jobs must end: the longest queue is about 14 x 4 x 40 s
SECOND_LOOKS = 0.1  # of the rests in calm times
QUIET = timedelta(seconds=65)  # two resyncs; the loop announces every other pause that it makes
STEP_MIN = timedelta(milliseconds=500)
STEP_MAX = timedelta(seconds=20)
PASSES_AT_ONCE = 30  # passes without a pause until nothing is left to do: more mean that the loop never rests


class Simulation:
    """One seed."""

    def __init__(self, seed: int, engine: sa.Engine | None = None) -> None:
        self.clock = FakeClock()
        self.faults = Faults(seed)
        self.random = self.faults.random
        self.runtime = FakeRuntime(self.clock, random_machines(self.random), self.faults)
        self.plane = FakeDataPlane()
        self.watch = Watch(self.runtime)
        self.services = {"jobs": JOBS, "endpoints": replace(ENDPOINTS, open=self._open_endpoints)}
        self.users = Users(self.random, self.clock, self.services)
        self.crashes = self.commits = 0
        self._engine = empty_engine(engine)
        self._kinds = (*KERNEL_KINDS, *(kind for service in self.services.values() for kind in service.kinds))
        self._start_core()

    def run(self) -> None:
        """Run the whole history; raises AssertionError where a promise is broken."""
        self.faults.act = self._disturb_inside
        for _ in range(ROUNDS):
            self.faults.is_on = True
            self._disturb()
            self._work()
            self._pass_time(STEP_MAX)
        self._end_troubles()
        self._run_on(CALM)
        if self.users.mend_endpoints(self.store):
            self._run_on(CALM)
        now = self.clock.now()
        verdict.check_machines(self.store, self.runtime, now)
        verdict.check_endpoints(self.store, self.runtime, self.users, now)
        self.users.delete_endpoints(self.store)
        self._run_on(END)
        verdict.check_machines(self.store, self.runtime, self.clock.now())
        verdict.check_jobs(self.store, self.runtime, self.users)
        verdict.check_events(self.store, self.users)
        verdict.check_objects(self.store, (Node, Task))

    def history(self) -> Sequence[str]:
        """Return every event in its order: what a replay must repeat."""
        told, last = [], 0
        while events := self.store.events(after=last):
            told += [f"{event.at} {event.object_name} {event.code} {event.sentence}" for event in events]
            last = events[-1].seq
        return told

    def _start_core(self) -> None:
        self.runtime.disconnect()
        self.store = FaultyStore(self._engine, self.clock, self._kinds, self.faults)
        self.store.on_commit = self.watch.see_commit
        self.store.on_change(self._count_commit)
        self.core = Core(self.store, self.clock, self.runtime)
        self.core.use(list(self.services.values()), self.plane)

    def _count_commit(self) -> None:
        self.commits += 1

    def _open_endpoints(self, door: Door) -> OpenService:
        self.prober = FakeProber(self._answers, door.wake)
        return Endpoints(door, self.prober)

    def _answers(self, target: Target) -> bool:
        now = self.clock.now()
        return any(
            process.answers(now) and process.port == target.port
            for node in self.runtime.fleet.values()
            if node.answers
            for process in node.processes.values()
        )

    def _work(self) -> None:
        """Let the loop work until it would rest."""
        for _ in range(PASSES_AT_ONCE):
            self.runtime.wake()
            # A start that is tried again is no commit, and what it starts may end at this very moment.
            before = self.commits, self.runtime.orders
            self._one_pass()
            now = self.clock.now()
            self.watch.see_launches(now)
            self.watch.see_machines(now)
            self.watch.see_gangs(now)
            is_quiet = not self.prober.ask_all() and (self.commits, self.runtime.orders) == before
            if is_quiet and self.core.loop.seconds_to_next():
                return
        assert self.faults.is_on, "the loop does not come to rest"

    def _one_pass(self) -> None:
        try:
            if not self.core.loop.try_pass():
                self.clock.advance(STEP_MIN)
        except Crashed:
            self.crashes += 1
            self._start_core()

    def _pass_time(self, at_most: timedelta) -> None:
        """Go to the next moment at which something happens."""
        now = self.clock.now()
        step = min(at_most, timedelta(seconds=self.core.loop.seconds_to_next()))
        change = self.runtime.next_change()
        if change is not None:
            step = min(step, change - now)
        self.clock.advance(max(step, STEP_MIN))

    def _run_on(self, duration: timedelta) -> None:
        """Let time run until nothing has happened for a while, for so long at most."""
        end = self.clock.now() + duration
        quiet_since = self.clock.now()
        while self.clock.now() < min(end, quiet_since + QUIET):
            before = len(self.watch.moved)
            self._work()
            if len(self.watch.moved) != before or self.runtime.next_change() is not None:
                quiet_since = self.clock.now()
            if self.random.random() < SECOND_LOOKS:
                self._look_again()
            self._pass_time(end - self.clock.now() + STEP_MIN)
        self._work()

    def _look_again(self) -> None:
        """Let a new core, which looks at everything, confirm that the one that rests has left nothing undone."""
        self._start_core()
        before = len(self.watch.moved)
        self._one_pass()
        # Who starts, and for whom others stop, depends on the time, too, and plans are but made now and then.
        undone = [thing for thing in self.watch.moved[before:] if not _is_of_a_plan(thing)]
        assert not undone, f"the loop rested, and left undone: {undone[0]}"
        self._work()

    def _disturb(self) -> None:
        """Let users act, and strike a node or the core now and then."""
        for _ in range(self.random.choice((0, 1, 1, 2))):
            self.users.act(self.store)
        if self.random.random() < 0.4:
            self._change_traffic()
        for node in self.runtime.fleet.values():
            # Those that are away come back soon, still running what was given up for lost.
            if self.random.random() < (0.15 if node.answers else 0.5):
                self._strike(node)
        if self.random.random() < 0.02:
            self.crashes += 1
            self._start_core()

    def _disturb_inside(self) -> None:
        """Do one thing in the middle of a pass."""
        if self.random.random() < 0.7:
            self.users.act(self.store)
        else:
            self._strike(self.random.choice(list(self.runtime.fleet.values())))

    def _strike(self, node: FakeNode) -> None:
        """Change the fate of one node: a node that is away comes back, or one that is there goes."""
        if not node.is_up:
            node.is_up = True
        elif not node.is_reachable:
            node.is_reachable = True
        else:
            strikes = (self.runtime.crash, _cut_off, _cut_off, self._delay_news, self._kill_supervisors)
            self.random.choice(strikes)(node)

    def _delay_news(self, node: FakeNode) -> None:
        node.lag = self.faults.delay(5.0)

    def _kill_supervisors(self, node: FakeNode) -> None:
        for process in node.processes.values():
            if process.holds(self.clock.now()) and self.random.random() < 0.5:
                process.kill(self.clock.now())

    def _change_traffic(self) -> None:
        endpoints = self.core.opened["endpoints"]
        assert isinstance(endpoints, Endpoints)
        for endpoint in sorted(self.store.page(Endpoint, live_only=True), key=lambda found: found.id):
            ago = self.random.choice((0.0, 0.0, 100.0))
            self.plane.last_request_seconds_ago[endpoint.project, endpoint.name] = ago
            if self.random.random() < 0.3:
                endpoints.want(endpoint)
        self.plane.in_flight = {
            server.id: self.random.choice((0, 0, 3)) for route in self.plane.routes.values() for server in route.servers
        }

    def _end_troubles(self) -> None:
        self.faults.is_on = False
        for node in self.runtime.fleet.values():
            node.is_up, node.is_reachable, node.lag = True, True, timedelta(0)
        self.plane.in_flight, self.plane.last_request_seconds_ago = {}, {}
        self.users.uncordon(self.store)
        # A core that goes on has pauses after failures to sit out; half of the seeds see a new one, which has none.
        has_pauses = self.random.random() < 0.5
        if not has_pauses:
            self._start_core()
        self.watch.calm_since = self.clock.now() + (LONGEST if has_pauses else timedelta(0))


def _is_of_a_plan(thing: AnyObject) -> bool:
    """Tell whether the newest plan changed it: it starts, makes room, or has room made for it."""
    if not isinstance(thing, Task):
        return False
    return thing.status.state is TaskState.STARTING or thing.status.reason.code in {"preempted", "making_room"}


def _cut_off(node: FakeNode) -> None:
    node.is_reachable = False


def run_seeds(seeds: Sequence[int]) -> Sequence[str]:
    """Run every seed on one database; return what broke, with the command that replays it."""
    engine = empty_engine()
    failures = []
    for seed in seeds:
        found = run_seed(seed, engine)
        if found:
            failures.append(f"{found}Replay: python -m lepton_ai.testing.simulation {seed}")
    engine.dispose()
    return failures


def run_seed(seed: int, engine: sa.Engine | None = None) -> str:
    """Run one seed; return what broke, or nothing."""
    mistakes, log = Mistakes(), logging.getLogger("lepton_ai")
    log.addHandler(mistakes)
    try:
        Simulation(seed, engine).run()
    except Exception:
        mistakes.found.append(traceback.format_exc())
    finally:
        log.removeHandler(mistakes)
    return mistakes.found[0] if mistakes.found else ""


def main(arguments: Sequence[str]) -> int:
    """Run the seeds that the command line names."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("lepton_ai").propagate = False
    first, last = int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else int(arguments[0]) + 1
    failures = run_seeds(range(first, last))
    print("\n\n".join([*failures, f"{last - first - len(failures)} of {last - first} seeds hold."]))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
