"""Which nodes meet the conditions of a task, and what to say where none does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lepton_ai.kernel.scheduling.fleet import Bools, Fleet
from lepton_ai.kernel.scheduling.snapshot import NodeView
from lepton_ai.types.where import NODE_KEY, Condition

LABELS_SHOWN = 8  # that a sentence lists before it says how many more there are


def meets(node: NodeView, where: Sequence[Condition]) -> bool:
    """Tell whether a node has the labels that are asked for; its name is the label `node`."""
    labels = {**dict(node.labels), NODE_KEY: node.name}
    return all(condition.is_met(labels) for condition in where)


def nodes_where(fleet: Fleet, where: Sequence[Condition]) -> Bools:
    """Return which nodes meet all conditions."""
    return np.array([meets(node, where) for node in fleet.nodes], dtype=np.bool_)


def in_words(where: Sequence[Condition]) -> str:
    """Return the conditions as they are written: "site=berlin and rack!=r3"."""
    return " and ".join(map(str, where))


def no_such_place(fleet: Fleet, where: Sequence[Condition]) -> str:
    """Return what no node has, what labels there are, and how to give a node one."""
    lacking = [one for one in where if not nodes_where(fleet, (one,)).any()]
    what = f"no node has {in_words(lacking or where)}" + ("" if lacking else " together")
    wanted = next((one for one in where if not one.is_not and one.key != NODE_KEY), None)
    step = f"lepton node label NODE {wanted.key}={wanted.values[0]}" if wanted else "lepton node list"
    return f"{what}; {_known(fleet)}: see {step}" if wanted is None else f"{what}; {_known(fleet)}; give one: {step}"


def _known(fleet: Fleet) -> str:
    known = sorted({f"{key}={value}" for node in fleet.nodes for key, value in node.labels})
    more = f" and {len(known) - LABELS_SHOWN} more" if len(known) > LABELS_SHOWN else ""
    return f"labels known: {', '.join(known[:LABELS_SHOWN])}{more}" if known else "no node has labels yet"
