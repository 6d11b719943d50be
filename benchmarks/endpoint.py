"""What the data plane adds to a request: the same trivial app asked directly and through it, in turns."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.figure import Figure, Report, at_least, at_most, told
from benchmarks.instance import running_instance
from benchmarks.load import Load, Target, apply_load
from benchmarks.plain_plane import plain_plane
from benchmarks.served import BODY, bare_server, endpoint, write_app

ROUNDS = 9
ROUND_SECONDS = 0.4
MANY = 32
BARE, DIRECT, PLAIN, TLS = "bare uvicorn", "the replica, asked directly", "data plane without TLS (trial)", "data plane"
PATH = "/endpoints/default/trivial/"

Rounds = dict[str, list[Load]]


def measure() -> Report:
    """Ask each in turn, with one client and with many, round after round."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lepton-benchmark-")))
        write_app(folder)
        instance = stack.enter_context(running_instance())
        bare = stack.enter_context(bare_server(folder, "asyncio"))
        replica = stack.enter_context(endpoint(stack.enter_context(instance.connect()), folder, "asyncio"))
        plain = stack.enter_context(plain_plane(instance))
        targets = {
            BARE: Target(port=bare, body=BODY),
            DIRECT: Target(port=replica, body=BODY),
            PLAIN: Target(port=plain, body=BODY, path=PATH, token=instance.token),
            TLS: Target(port=instance.port, body=BODY, path=PATH, token=instance.token, ca=instance.ca),
        }
        one, many = (take_turns(targets, clients, ROUNDS) for clients in (1, MANY))
    return Report(name="endpoint", title="Endpoints: the data plane", figures=_figures(one, many), notes=_notes(many))


def take_turns(targets: dict[str, Target], clients: int, rounds: int) -> Rounds:
    """Return each target's rounds. Every other round goes backwards, so that no target is always first."""
    found: Rounds = {name: [] for name in targets}
    for number in range(rounds):
        for name in list(targets)[:: 1 if number % 2 else -1]:
            found[name].append(apply_load(targets[name], clients, ROUND_SECONDS))
    return found


def _figures(one: Rounds, many: Rounds) -> list[Figure]:
    return [
        told(f"p50 at one client, {BARE}", _p50(one[BARE]), "ms"),
        told(f"p50 at one client, {DIRECT}", _p50(one[DIRECT]), "ms"),
        told(f"p50 at one client, {PLAIN}", _p50(one[PLAIN]), "ms"),
        told(f"p50 at one client, {TLS}, with TLS and token", _p50(one[TLS]), "ms"),
        at_most("added to the replica's own p50, without TLS", _added(one[PLAIN], one[DIRECT]), 0.2, "ms"),
        at_most("added to the replica's own p50, with TLS", _added(one[TLS], one[DIRECT]), 0.2, "ms"),
        told(f"{MANY} clients, {BARE}", _rate(many[BARE]), "/s"),
        told(f"{MANY} clients, {PLAIN}", _rate(many[PLAIN]), "/s"),
        told(f"{MANY} clients, {TLS}, with TLS and token", _rate(many[TLS]), "/s"),
        at_least(f"{MANY} clients, of bare uvicorn's rate, without TLS", _share(many[PLAIN], many[BARE]), 0.7, "x"),
        told(f"{MANY} clients, of bare uvicorn's rate, with TLS", _share(many[TLS], many[BARE]), "x"),
        told(f"p50 at {MANY} clients, {BARE}", _p50(many[BARE]), "ms"),
        told(f"p50 at {MANY} clients, {TLS}, with TLS and token", _p50(many[TLS]), "ms"),
    ]


def _notes(many: Rounds) -> list[str]:
    own = {name: statistics.median(load.own_us for load in loads) for name, loads in many.items()}
    return [
        f"{ROUNDS} rounds of {ROUND_SECONDS:g} s for each, in turns; differences and ratios are taken within a round, "
        "then the median of the rounds. Both sides run the same app by the same command: uvicorn, httptools, asyncio.",
        "The load generator (`benchmarks/load.py`) shares the machine's cores with what it measures: it takes "
        f"{own[BARE]:.0f} us of processor time a request plain, {own[TLS]:.0f} us with TLS.",
        "The product has TLS alone; the trial is a second HAProxy on the same rules, maps and servers.",
    ]


def _p50(loads: Sequence[Load]) -> list[float]:
    return [load.p50_ms for load in loads]


def _rate(loads: Sequence[Load]) -> list[float]:
    return [load.per_second for load in loads]


def _added(through: Sequence[Load], own: Sequence[Load]) -> list[float]:
    return [a.p50_ms - b.p50_ms for a, b in zip(through, own, strict=True)]


def _share(through: Sequence[Load], bare: Sequence[Load]) -> list[float]:
    return [a.per_second / b.per_second for a, b in zip(through, bare, strict=True)]
