"""Labels of nodes: who may set them, what is refused, and that it is audited."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from lepton_ai.types.identity import Role
from tests.unit.api.platform import Platform

NODE = "/api/v1/nodes/node-1"


@pytest.fixture(autouse=True)
def _has_seen_its_node(platform: Platform) -> None:
    platform.settle()


def change(platform: Platform, labels: dict[str, Any], token: str | None = None) -> httpx.Response:
    return platform.call("PATCH", NODE, *([token] if token else []), json={"metadata": {"labels": labels}})


def test_labels_are_merged_and_a_null_drops_one(platform: Platform) -> None:
    change(platform, {"site": "berlin", "rack": "r3"})
    assert change(platform, {"rack": None}).json()["metadata"]["labels"] == {"site": "berlin"}


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ({"node": "x"}, "the label 'node' is the node's name already"),
        ({"si te": "x"}, "'si te' is not a label's key: use letters, digits and inner ._/-, at most 128"),
        ({"price": "nan"}, "'nan' is not a price of an hour: a number from 0 to 1,000,000,000"),
        ({"price": "-1"}, "'-1' is not a price of an hour"),
        ({"price": "1e308"}, "'1e308' is not a price of an hour"),
        ({"price": "cheap"}, "'cheap' is not a price of an hour"),
        ({"site": "a|b"}, "'a|b' is not a label's value: use 1 to 256 letters, digits and ._:/+-"),
    ],
)
def test_labels_that_no_work_could_ask_for_are_refused(platform: Platform, labels: dict[str, str], text: str) -> None:
    refused = change(platform, labels)
    assert refused.status_code == 422
    assert text in refused.json()["detail"]


def test_only_who_runs_the_platform_may_set_them_and_both_are_audited(platform: Platform) -> None:
    token = platform.user("ada", {"default": Role.ADMIN})
    assert change(platform, {"site": "berlin"}, token).status_code == 403
    change(platform, {"site": "berlin"})
    outcomes = [str(one.outcome) for one in platform.audit() if one.operation == "node.update"]
    assert outcomes == ["denied", "allowed"]
