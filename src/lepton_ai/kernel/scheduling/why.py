"""Why a task starts on the class where it starts, and why others make room for it, in words."""

from __future__ import annotations

from lepton_ai.kernel.scheduling.groups import Group
from lepton_ai.kernel.scheduling.reasons import in_words
from lepton_ai.kernel.scheduling.snapshot import Policy, Preemption, WaitingTask
from lepton_ai.kernel.scheduling.walk import Making


def why_this(group: Group, taken: int, best: int, resource_class: str) -> str:
    """Return why the option `taken` (by number) was chosen, where `best` is the most welcome one."""
    pool, classes = group.options[taken].pool, sum(len(tier.options) for tier in group.tiers)
    if classes == 1:
        return f"{pool.name}, the only class that fits"
    if any(len(tier.options) > 1 and taken == tier.joined[0] for tier in group.tiers):
        return f"{resource_class}; of {classes} classes that fit, this takes least from others"
    if taken == best:
        return f"{pool.name}, the best of {classes} classes that fit"
    busy = "every node without accelerators" if pool.takes_device_room else group.options[best].pool.name
    return f"{pool.name}; {busy} is busy, and waiting for it would take longer"


def making_room(making: Making, task: WaitingTask, policy: Policy) -> list[Preemption]:
    """Return who is stopped for `task`, each with what that saves and costs."""
    exchange = making.exchange
    terms = {"saved": exchange.saved, "cost": exchange.cost, "gain": policy.preemption_gain}
    saved, cost = in_words(exchange.saved), in_words(exchange.cost)
    sentence = f"makes room for '{task.name}': that saves {saved} of weighted waiting and costs {cost}"
    return [Preemption(victim, task.id, sentence, terms) for victim in exchange.victims]
