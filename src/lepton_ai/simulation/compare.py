"""Plays a trace under several settings, side by side: as it was, and what if."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import NamedTuple

import numpy as np

from lepton_ai.errors import InvalidInput
from lepton_ai.kernel.scheduling.demand import is_kind
from lepton_ai.kernel.scheduling.snapshot import NodeView, Policy, ProjectView, Restart
from lepton_ai.simulation.autoscale import GroupFigures, GrowingScheduler, ImaginedGroup, figures_of_groups
from lepton_ai.simulation.engine import EPOCH, Outcome, Rules, replay
from lepton_ai.simulation.figures import Figures, Setting, figures_of
from lepton_ai.simulation.told import Lengths, Told, told
from lepton_ai.simulation.trace import Trace
from lepton_ai.simulation.waits import Waits, waits_of
from lepton_ai.types.base import Model
from lepton_ai.types.quantity import parse_duration

AS_IT_WAS, WHAT_IF = "as it was", "what if"
COUNT_MAX = 10**6


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fleet under one policy. `prices` says by node what each of its devices costs in an hour.

    With a `restart`, tasks may be preempted and pay it; without one, those that say so. `projects` share the nodes.
    """

    name: str
    nodes: tuple[NodeView, ...]
    policy: Policy
    prices: Mapping[str, float]
    restart: Restart | None = None
    projects: tuple[ProjectView, ...] = ()
    groups: tuple[ImaginedGroup, ...] = ()  # whose nodes come and go


@dataclass(frozen=True, slots=True)
class Telling:
    """How the scheduler gets to know lengths; `sigma` is the spread of the errors of noisy ones."""

    lengths: Lengths = Lengths.LEARNT
    sigma: float = 0.7


class Played(NamedTuple):
    """A scenario's outcome and its figures."""

    outcome: Outcome
    figures: Figures
    groups: tuple[GroupFigures, ...] = ()


class Recorded(Model):
    """What the trace says of itself: the waits of the system that it was recorded on."""

    waits: Waits
    mean_completion: float
    weighted_completion: float
    makespan: float


def play(trace: Trace, scenario: Scenario, telling: Telling, rules: Rules) -> Played:
    """Replay `trace` under `scenario`. Same input, same figures."""
    using = replace(rules, policy=scenario.policy, restart=scenario.restart, projects=scenario.projects)
    setting = Setting(scenario.name, scenario.policy, scenario.prices, scenario.projects)
    if scenario.groups:
        return _play_growing(trace, scenario, told(telling.lengths, telling.sigma), using)
    outcome = replay(trace, scenario.nodes, told(telling.lengths, telling.sigma), using)
    return Played(outcome, figures_of(outcome, setting))


def _play_growing(trace: Trace, scenario: Scenario, knows: Told, rules: Rules) -> Played:
    """Replay on nodes that come and go. What was there at any time is in the outcome, with what it cost by group."""
    scheduler = GrowingScheduler(scenario.nodes, scenario.groups, trace.began or EPOCH, scenario.policy)
    outcome = replay(trace, scenario.nodes, knows, replace(rules, alarm=scheduler.alarm), scheduler)
    scheduler.finish(max([*outcome.ends.values(), *(life.gone for life in scheduler.lives)], default=0.0))
    nodes = (*scenario.nodes, *(life.node for life in scheduler.lives))
    outcome = replace(outcome, nodes=tuple(sorted(nodes, key=lambda node: node.name)))
    setting = Setting(scenario.name, scenario.policy, scenario.prices, scenario.projects)
    return Played(outcome, figures_of(outcome, setting), figures_of_groups(scenario.groups, scheduler.lives))


def recorded_of(trace: Trace) -> Recorded | None:
    """Return what was recorded; None if the trace does not say of each task when it started."""
    if any(task.waited < 0 for task in trace.tasks):
        return None
    waits = np.array([task.waited for task in trace.tasks])
    completion = waits + np.array([task.seconds for task in trace.tasks])
    weight = np.array([task.weight for task in trace.tasks])
    return Recorded(
        waits=waits_of(waits),
        mean_completion=float(completion.mean()),
        weighted_completion=float((completion * weight).sum() / weight.sum()),
        makespan=float((completion + np.array([task.submitted for task in trace.tasks])).max()),
    )


def changed(policy: Policy, pairs: Mapping[str, str]) -> Policy:
    """Return `policy` with what `pairs` set; raises InvalidInput that lists what there is to set."""
    known = {field.name: getattr(policy, field.name) for field in fields(policy)}
    values: dict[str, object] = {}
    for name, text in pairs.items():
        if name not in known:
            raise InvalidInput(f"The policy has no {name[:40]!r}.", hint=f"It has: {', '.join(known)}.")
        values[name] = _value(name, text, known[name])
    return replace(policy, **values)  # type: ignore[arg-type]


def priced(nodes: Sequence[NodeView], labels: Mapping[str, float], kinds: Mapping[str, float]) -> dict[str, float]:
    """Return by node what a device costs in an hour: as its kind, else its label, else a node of its kind says."""
    by_kind = {node.devices[0].kind: labels[node.name] for node in nodes if node.devices and node.name in labels}
    prices = {}
    for node in nodes:
        if not node.devices:
            continue
        kind = node.devices[0].kind
        named = next((price for word, price in kinds.items() if is_kind(word.lower(), kind)), None)
        found = named if named is not None else labels.get(node.name, by_kind.get(kind))
        if found is not None:
            prices[node.name] = found
    return prices


def _value(name: str, text: str, now: object) -> object:
    """Read `text` as what stands there now: a span of time, a switch, a whole number or a number."""
    try:
        if isinstance(now, timedelta):
            return parse_duration(text)
        if isinstance(now, bool):
            return {"true": True, "false": False}[text.lower()]
        value = int(text) if isinstance(now, int) else float(text)
    except (ValueError, KeyError) as error:
        example = "10m" if isinstance(now, timedelta) else str(now).lower()
        raise InvalidInput(f"{name}={text[:40]} cannot be read.", hint=f"Write it as {name}={example}.") from error
    if not 0 <= value <= COUNT_MAX:
        raise InvalidInput(f"{name}={text[:40]} is not from 0 to {COUNT_MAX:,}.")
    return value
