"""What the decision over classes says of itself: the sentence, and the few numbers that reproduce it."""

from __future__ import annotations

from collections.abc import Sequence

from lepton_ai.kernel.scheduling.classes.auction import NONE
from lepton_ai.kernel.scheduling.classes.market import Assigned, Market, Prices
from lepton_ai.kernel.scheduling.classes.moves import Stop
from lepton_ai.kernel.scheduling.reasons import in_words
from lepton_ai.kernel.scheduling.snapshot import Preemption

DEVICE = 1000  # thousandths


def preemption_of(stop: Stop, market: Market) -> Preemption:
    """Say why a task has to go, or to move."""
    member, other = stop
    found, kind = market.assigned[member.id], market.members.kinds[member.held]
    if member.id == other.id:
        target = member.choices[found.column]
        assert target is not None
        goes = market.members.kinds[found.column]
        sentence = f"moves from {kind} to {goes}, where what is left takes about {in_words(target[0])}"
    else:
        here, there = (_per_device(market.assigned[one.id], member.held) for one in (member, other))
        sentence = (
            f"makes room on {kind} for '{other.name}': per device there, running saves {here:.3g} weighted seconds "
            f"a second for this task and those behind it, and {there:.3g} for that one"
        )
    return Preemption(member.id, other.id, sentence, terms(market, member.id))


def why_here(market: Market, task_id: str) -> str:
    """Say why a task starts on its class; "" if it took no part."""
    found = market.assigned.get(task_id)
    if found is None or found.column == NONE or not market.has(task_id):
        return ""
    kinds = market.members.kinds
    others = [kind for kind, value in zip(kinds, found.value, strict=True) if value > 0 and kind != kinds[found.column]]
    return f"{kinds[found.column]}, where it saves most for its price" + (
        f"; or {' or '.join(others)}" if others else ""
    )


def why_not(market: Market, task_id: str) -> str:
    """Say why a task has to wait for its turn; "" if it is only for want of room."""
    found = market.assigned.get(task_id)
    if found is None or market.prices is None or not market.has(task_id) or found.column != NONE:
        return ""
    bids = market.prices.bids
    column = max(range(len(bids)), key=lambda k: found.value[k] / found.milli - bids[k])
    if bids[column] <= 0:
        return ""
    kind, here, least = market.members.kinds[column], _per_device(found, column), bids[column] * DEVICE
    return (
        f"waits for its turn: on {kind} it would save {here:.3g} weighted seconds a second per device, and those that "
        f"run there save {least:.3g} and more; {_today(market.prices)}"
    )


def _today(prices: Prices) -> str:
    by_price = sorted(zip(prices.per_second, prices.kinds, strict=True))
    (low, cheap), (high, dear) = by_price[0], by_price[-1]
    return f"a second of {dear} costs {high / low:.2g} seconds of {cheap} today"


def terms(market: Market, task_id: str) -> dict[str, float]:
    """Return the numbers: the class with the largest value less bid wins, of none above 0 the task waits."""
    found = market.assigned.get(task_id)
    if found is None or market.prices is None or not market.has(task_id):
        return {}
    told = {"priced_seconds": found.cost}
    columns: Sequence[tuple[str, Sequence[float]]] = (
        ("value", found.value),
        ("bid", [bid * found.milli for bid in market.prices.bids]),
        ("price", market.prices.per_second),
    )
    for name, amounts in columns:
        for kind, amount, value in zip(market.members.kinds, amounts, found.value, strict=True):
            if value > 0:
                told[f"{name} {kind}"] = amount
    return told


def _per_device(found: Assigned, column: int) -> float:
    return found.value[column] * DEVICE / found.milli
