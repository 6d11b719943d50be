"""Plans as they were recorded: work on speed must not change one. After a change that should, record them anew:

python -m tests.unit.kernel.scheduling.test_recorded_plans

Sentences are left out: their words may change; what they say is tested by examples.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from lepton_ai.kernel.scheduling.schedule import schedule
from lepton_ai.kernel.scheduling.snapshot import Placement, Plan, Wait
from tests.unit.kernel.scheduling.seeded import policy_of, snapshot_of

RECORD = Path(__file__).with_name("recorded_plans.json")
SEEDS = range(120)


def test_plans_are_those_that_were_recorded() -> None:
    recorded: Mapping[str, str] = json.loads(RECORD.read_text())
    assert recorded == {str(seed): _summary(_plan_of(seed)) for seed in SEEDS}


def test_the_recorded_worlds_know_every_refusal_and_both_answers() -> None:
    plans = [_plan_of(seed) for seed in SEEDS]
    assert any(plan.placements for plan in plans)
    refusals = {wait.refusal.value for plan in plans for wait in plan.waits}
    assert refusals == {"too_large", "no_such_device", "no_nodes", "busy", "reserved"}


def _plan_of(seed: int) -> Plan:
    return schedule(snapshot_of(seed), policy_of(seed))


def _summary(plan: Plan) -> str:
    """Return how many start and wait, and a digest of all the rest but the sentences, order included."""
    text = "\n".join((*_lines_of_placements(plan.placements), *_lines_of_waits(plan.waits)))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{len(plan.placements)} start, {len(plan.waits)} wait, {digest}"


def _lines_of_placements(placements: Iterable[Placement]) -> Iterable[str]:
    for one in placements:
        yield f"{one.task_id} {one.allocations} {one.expected_seconds:.9g} {_terms(one.terms)}"


def _lines_of_waits(waits: Iterable[Wait]) -> Iterable[str]:
    for one in waits:
        start = one.expected_start.isoformat(timespec="milliseconds") if one.expected_start else "never"
        yield f"{one.task_id} {one.refusal} {one.rank} {start} {_terms(one.terms)}"


def _terms(terms: Mapping[str, float]) -> str:
    return " ".join(f"{name}={value:.9g}" for name, value in sorted(terms.items()))


if __name__ == "__main__":
    RECORD.write_text(json.dumps({str(seed): _summary(_plan_of(seed)) for seed in SEEDS}, indent=1) + "\n")
