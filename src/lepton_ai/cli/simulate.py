"""`lepton simulate`: what a recorded time would have been like, here, on other nodes, or under another policy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from lepton_ai.cli.output import notice, print_json
from lepton_ai.cli.pairs import read_pairs
from lepton_ai.cli.project_bounds import SPEC, amounts_of
from lepton_ai.cli.session import Session, session_of
from lepton_ai.cli.simulate_groups import Autoscale, GroupFile, groups_of, show_groups
from lepton_ai.errors import InvalidInput, LeptonError, Unavailable

if TYPE_CHECKING:
    from lepton_ai.kernel.scheduling.snapshot import ProjectView
    from lepton_ai.simulation.autoscale import ImaginedGroup
    from lepton_ai.simulation.compare import Played, Scenario, Telling
    from lepton_ai.simulation.history import PricedNodes
    from lepton_ai.simulation.projects import Specs
    from lepton_ai.simulation.trace import Trace
    from lepton_ai.types.task import Task

TraceFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Recorded work: Slurm (sacct -P), openb, Philly-like CSV; or .gz.")
]
Last = Annotated[str, typer.Option(metavar="SPAN", help="What this platform ran in the last 7d, 12h, ...")]
Form = Annotated[str, typer.Option("--format", metavar="NAME", help="philly, openb or slurm.")]
Nodes = Annotated[
    str, typer.Option(metavar="FILE|NxKIND", help="The fleet: sn,cpu_milli,memory_mib,gpu,model or 50xa100.")
]
AddNodes = Annotated[str, typer.Option(metavar="NxKIND", help="What if these were there too: 2xh100.")]
PolicyPairs = Annotated[
    list[str] | None, typer.Option(metavar="KEY=VALUE", help="What if the scheduler had this number. Repeatable.")
]
Resume = Annotated[str, typer.Option(metavar="SPAN", help="What if tasks could be preempted, and paid 60s to resume.")]
Quota = Annotated[
    list[str] | None,
    typer.Option(metavar=f"PROJECT={SPEC}", help="What if that were promised to a project. Repeatable."),
]
Limit = Annotated[
    list[str] | None, typer.Option(metavar=f"PROJECT={SPEC}", help="What if it held that at most. Repeatable.")
]
Weight = Annotated[
    list[str] | None, typer.Option(metavar="PROJECT=NUMBER", help="What if that were its weight. Repeatable.")
]
HowLong = Annotated[
    str, typer.Option(metavar="HOW", help="What the scheduler knows of durations: learnt, noisy or known.")
]
Price = Annotated[
    list[str] | None, typer.Option(metavar="KIND=PRICE", help="What a device costs in an hour. Repeatable.")
]
PlotFile = Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it: .svg, .png or .html.")]

app = typer.Typer()
TOLD_TASKS = 5_000  # from so many on it takes seconds, and something should be said
WHICH = "say either --trace FILE or --last 7d."


class _Changes(NamedTuple):
    """What is different in the second column."""

    add_nodes: str
    policy: Mapping[str, str]
    restart: str
    projects: Mapping[str, dict[str, object]]  # by name, what is merged into its spec
    groups: tuple[ImaginedGroup, ...]  # whose nodes come and go


class _Projects(NamedTuple):
    """Who shares the nodes in the first column, and in the second."""

    now: tuple[ProjectView, ...]
    what_if: tuple[ProjectView, ...]


@app.command("simulate")
def simulate(  # noqa: PLR0917
    context: typer.Context,
    trace: TraceFile = None,
    last: Last = "",
    form: Form = "auto",
    nodes: Nodes = "",
    add_nodes: AddNodes = "",
    policy: PolicyPairs = None,
    restart: Resume = "",
    quota: Quota = None,
    limit: Limit = None,
    weight: Weight = None,
    lengths: HowLong = "learnt",
    price: Price = None,
    groups: GroupFile = None,
    autoscale: Autoscale = False,
    plot: PlotFile = None,
) -> None:
    """Replay recorded work with the live scheduler: as it was, and what if.

    \b
    Example:
      lepton simulate --last 7d --add-nodes 2xh100
      lepton simulate --trace sacct.txt --nodes 50xa100 --policy ageing_tau=1h
      lepton simulate --last 7d --autoscale
      lepton simulate --last 7d --quota vision=4xh100,cpu=200 --limit speech=8xh100
    """
    if bool(trace) == bool(last):
        raise typer.BadParameter(WHICH)
    from lepton_ai.simulation import plot as drawing

    session = session_of(context)
    draw = drawing.prepare(plot) if plot else None
    telling = _telling(lengths)
    fleet = _fleet(session, nodes)
    shares = _shares(quota or (), limit or (), weight or ())
    scaled = groups_of(session, groups, autoscale=autoscale)
    changes = _Changes(add_nodes, read_pairs("--policy", policy or ()), restart, shares, scaled)
    span = _span("--last", last) if last else timedelta(0)
    specs = _specs(session) if last else {}
    work = _history(session, (last, span), specs) if last else _recorded(trace, form, fleet)
    projects = _projects(work, specs, shares)
    scenarios = _scenarios(fleet, changes, _prices(price or ()), projects)
    played = [_play(session, work, scenario, telling) for scenario in scenarios]
    _show(session, work, played)
    if draw and plot:
        draw([(one.figures, one.outcome) for one in played])
        notice(f"Drawn: {plot}")


def _play(session: Session, work: Trace, scenario: Scenario, telling: Telling) -> Played:
    from lepton_ai.simulation.compare import play
    from lepton_ai.simulation.engine import Rules

    if not session.is_json and len(work.tasks) >= TOLD_TASKS:
        notice(f"Replaying {len(work.tasks):,} tasks on {len(scenario.nodes):,} nodes: {scenario.name} ...")
    return play(work, scenario, telling, Rules())


def _show(session: Session, work: Trace, played: Sequence[Played]) -> None:
    from lepton_ai.cli import simulate_print
    from lepton_ai.simulation.compare import recorded_of

    if session.is_json:
        plain = simulate_print.as_plain(work, recorded_of(work), [one.figures for one in played])
        print_json({**plain, "groups": [list(one.groups) for one in played]})
    else:
        simulate_print.show(work, recorded_of(work), played)
        show_groups(played[-1].groups)


def _telling(word: str) -> Telling:
    from lepton_ai.simulation.compare import Telling
    from lepton_ai.simulation.told import Lengths

    if word not in set(Lengths):
        raise typer.BadParameter(f"{word[:40]!r} is none of {', '.join(Lengths)}.", param_hint="--lengths")
    return Telling(Lengths(word))


def _fleet(session: Session, nodes: str) -> PricedNodes:
    """Return the nodes that were named, or else the platform's."""
    from lepton_ai.simulation.history import PricedNodes, nodes_of
    from lepton_ai.simulation.node_shapes import imagined
    from lepton_ai.simulation.readers.detect import read_nodes

    if nodes:
        path = Path(nodes)
        return PricedNodes(read_nodes(path) if path.is_file() else imagined(nodes, "node"), {})
    try:
        found = nodes_of(session.connect().nodes.each())
    except LeptonError as error:
        hint = "Start it with `lepton up`, or name the nodes: --nodes 50xa100"
        raise Unavailable(f"The nodes of the platform cannot be had: {error.message}", hint=hint) from error
    if not found.nodes:
        raise InvalidInput("The platform has no nodes.", hint="Name some: --nodes 50xa100")
    return found


def _recorded(path: Path | None, form: str, fleet: PricedNodes) -> Trace:
    from lepton_ai.simulation.readers.detect import DEVICES_EACH, read_trace

    assert path is not None
    each = max((len(node.devices) for node in fleet.nodes), default=0)
    return read_trace(path, form, each or DEVICES_EACH)


def _history(session: Session, past: tuple[str, timedelta], specs: Specs) -> Trace:
    """Return what ran in the project that was named, or else in every project that the caller sees."""
    from lepton_ai.kernel.clock import SystemClock
    from lepton_ai.simulation.history import trace_of

    last, span = past
    now = SystemClock().now()
    since = now - span
    found = trace_of(_tasks(session, specs, since), since, now, f"the last {last}")
    if not found.tasks:
        raise InvalidInput(
            f"Nothing ran in the last {last}{_skipped(found.skipped)}.",
            hint="Give more time, or replay a file: lepton simulate --trace FILE",
        )
    return found


def _specs(session: Session) -> Specs:
    """Return the specs of the project that was named, or else of every project that the caller sees, by name."""
    projects = session.connect().projects
    found = [projects.get(session.project)] if session.project else projects.each()
    return {one.name: one.spec for one in found}


def _tasks(session: Session, names: Iterable[str], since: datetime) -> Iterator[Task]:
    for name in names:
        for task in session.open(session.instance, "", name).tasks():
            if task.metadata.created_at is not None and task.metadata.created_at < since - timedelta(days=1):
                break  # newest first; ids are made a moment before they are stored, never a day
            yield task


def _skipped(counts: Mapping[str, int]) -> str:
    return "".join(f"; {count:,} {reason}" for reason, count in counts.items())


def _prices(given: list[str] | tuple[()]) -> dict[str, float]:
    prices = {}
    for kind, text in read_pairs("--price", given).items():
        try:
            prices[kind] = float(text)
        except ValueError:
            prices[kind] = -1.0
        if not 0 <= prices[kind] < 1e9:
            raise typer.BadParameter(f"{text[:20]!r} is not a price.", param_hint="--price")
    return prices


def _shares(quota: Sequence[str], limit: Sequence[str], weight: Sequence[str]) -> dict[str, dict[str, object]]:
    """Return what `lepton project set` would send for each project that is named."""
    found: dict[str, dict[str, object]] = {}
    for option, given in (("--quota", quota), ("--limit", limit)):
        for name, text in read_pairs(option, given).items():
            found.setdefault(name, {})[option[2:]] = amounts_of(option, text)
    for name, text in read_pairs("--weight", weight).items():
        found.setdefault(name, {})["weight"] = text
    return found


def _projects(work: Trace, specs: Specs, shares: Mapping[str, dict[str, object]]) -> _Projects:
    from lepton_ai.simulation.projects import shared_by, what_if

    named = {task.project for task in work.tasks}
    return _Projects(shared_by(specs), shared_by(what_if(specs, named, shares)))


def _scenarios(
    fleet: PricedNodes, changes: _Changes, kinds: Mapping[str, float], projects: _Projects
) -> list[Scenario]:
    from lepton_ai.kernel.scheduling.snapshot import Policy, Restart
    from lepton_ai.simulation.compare import AS_IT_WAS, WHAT_IF, Scenario, changed, priced
    from lepton_ai.simulation.node_shapes import imagined

    prices = priced(fleet.nodes, fleet.prices, kinds)
    found = [Scenario(AS_IT_WAS, tuple(fleet.nodes), Policy(), prices, projects=projects.now)]
    if any(changes):
        nodes = (*fleet.nodes, *(imagined(changes.add_nodes) if changes.add_nodes else ()))
        restart = Restart(_span("--restart", changes.restart).total_seconds()) if changes.restart else None
        policy = changed(Policy(), changes.policy)
        prices = priced(nodes, fleet.prices, kinds)
        found.append(Scenario(WHAT_IF, nodes, policy, prices, restart, projects.what_if, changes.groups))
    return found


def _span(option: str, text: str) -> timedelta:
    from lepton_ai.types.quantity import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint=option) from error
