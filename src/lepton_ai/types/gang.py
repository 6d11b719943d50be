"""A gang over a number of nodes, with as many replicas on each: what its three numbers are when some are left out."""

from __future__ import annotations

from collections.abc import Mapping

GANG = ("nodes", "replicas_per_node", "replicas")


def whole_gang(said: Mapping[str, object]) -> dict[str, object]:
    """Return what is said of a job with `nodes`, `replicas_per_node` and `replicas` made to agree.

    `nodes` alone have one replica each, as with torchrun. What is no whole number is left to the model, which says so.
    Raises ValueError where the three contradict one another.
    """
    nodes, each, replicas = (said.get(name, 0) for name in GANG)
    if not all(isinstance(number, int) and number >= 0 for number in (nodes, each, replicas)):
        return dict(said)
    assert isinstance(nodes, int)
    assert isinstance(each, int)
    if not nodes and each:
        raise ValueError(
            f"replicas_per_node is {each}, but nothing says on how many nodes: give nodes too, or only replicas"
        )
    if not nodes:
        return dict(said)
    each = each or 1
    if replicas not in {0, 1, nodes * each}:
        raise ValueError(
            f"nodes x replicas_per_node is {nodes} x {each} = {nodes * each}, but replicas is {replicas}: leave it out"
        )
    return {**said, "replicas_per_node": each, "replicas": nodes * each}
