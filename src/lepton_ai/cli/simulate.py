"""`lepton simulate`: what a recorded time would have been like, here, on other nodes, or under another policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from lepton_ai.cli.output import notice, print_json
from lepton_ai.cli.pairs import read_pairs
from lepton_ai.cli.session import Session, session_of
from lepton_ai.errors import InvalidInput, LeptonError, Unavailable

if TYPE_CHECKING:
    from lepton_ai.simulation.compare import Played, Scenario, Telling
    from lepton_ai.simulation.history import PricedNodes
    from lepton_ai.simulation.trace import Trace
    from lepton_ai.types.task import Task

app = typer.Typer()
TOLD_TASKS = 5_000  # from so many on it takes seconds, and something should be said
WHICH = "say either --trace FILE or --last 7d."


class _Changes(NamedTuple):
    """What is different in the second column."""

    add_nodes: str
    policy: Mapping[str, str]
    restart: str


@app.command("simulate")
def simulate(  # noqa: PLR0917
    context: typer.Context,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Recorded work: Slurm (sacct -P), openb, Philly-like CSV; or .gz."),
    ] = None,
    last: Annotated[str, typer.Option(metavar="SPAN", help="What this platform ran in the last 7d, 12h, ...")] = "",
    form: Annotated[str, typer.Option("--format", metavar="NAME", help="philly, openb or slurm.")] = "auto",
    nodes: Annotated[
        str, typer.Option(metavar="FILE|NxKIND", help="The fleet: sn,cpu_milli,memory_mib,gpu,model or 50xa100.")
    ] = "",
    add_nodes: Annotated[str, typer.Option(metavar="NxKIND", help="What if these were there too: 2xh100.")] = "",
    policy: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="What if the scheduler had this number. Repeatable.")
    ] = None,
    restart: Annotated[
        str, typer.Option(metavar="SPAN", help="What if tasks could be preempted, and paid 60s to resume.")
    ] = "",
    lengths: Annotated[
        str, typer.Option(metavar="HOW", help="What the scheduler knows of durations: learnt, noisy or known.")
    ] = "learnt",
    price: Annotated[
        list[str] | None, typer.Option(metavar="KIND=PRICE", help="What a device costs in an hour. Repeatable.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it: .svg, .png or .html.")] = None,
) -> None:
    """Replay recorded work with the live scheduler: as it was, and what if.

    \b
    Example:
      lepton simulate --last 7d --add-nodes 2xh100
      lepton simulate --trace sacct.txt --nodes 50xa100 --policy ageing_tau=1h
    """
    if bool(trace) == bool(last):
        raise typer.BadParameter(WHICH)
    from lepton_ai.simulation import plot as drawing

    session = session_of(context)
    draw = drawing.prepare(plot) if plot else None
    telling = _telling(lengths)
    fleet = _fleet(session, nodes)
    work = _history(session, last) if last else _recorded(trace, form, fleet)
    changes = _Changes(add_nodes, read_pairs("--policy", policy or ()), restart)
    scenarios = _scenarios(fleet, changes, _prices(price or ()))
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
        print_json(simulate_print.as_plain(work, recorded_of(work), [one.figures for one in played]))
    else:
        simulate_print.show(work, recorded_of(work), played)


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


def _history(session: Session, last: str) -> Trace:
    """Return what ran in the project that was named, or else in every project that the caller sees."""
    from lepton_ai.kernel.clock import SystemClock
    from lepton_ai.simulation.history import trace_of

    now = SystemClock().now()
    since = now - _span("--last", last)
    found = trace_of(_tasks(session, since), since, now, f"the last {last}")
    if not found.tasks:
        raise InvalidInput(
            f"Nothing ran in the last {last}{_skipped(found.skipped)}.",
            hint="Give more time, or replay a file: lepton simulate --trace FILE",
        )
    return found


def _tasks(session: Session, since: datetime) -> Iterator[Task]:
    client = session.connect()
    names = [session.project] if session.project else [one.name for one in client.projects.each()]
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


def _scenarios(fleet: PricedNodes, changes: _Changes, kinds: Mapping[str, float]) -> list[Scenario]:
    from lepton_ai.kernel.scheduling.snapshot import Policy, Restart
    from lepton_ai.simulation.compare import AS_IT_WAS, WHAT_IF, Scenario, changed, priced
    from lepton_ai.simulation.node_shapes import imagined

    found = [Scenario(AS_IT_WAS, tuple(fleet.nodes), Policy(), priced(fleet.nodes, fleet.prices, kinds))]
    if any(changes):
        nodes = (*fleet.nodes, *(imagined(changes.add_nodes) if changes.add_nodes else ()))
        restart = Restart(_span("--restart", changes.restart).total_seconds()) if changes.restart else None
        policy = changed(Policy(), changes.policy)
        found.append(Scenario(WHAT_IF, nodes, policy, priced(nodes, fleet.prices, kinds), restart))
    return found


def _span(option: str, text: str) -> timedelta:
    from lepton_ai.types.quantity import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint=option) from error
