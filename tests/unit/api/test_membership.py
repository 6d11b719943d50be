"""Machines join with a token of their own, once; what a node may do from then on concerns itself alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest
from cryptography import x509

from lepton_ai.backends.node_certificates import request_certificate
from lepton_ai.kernel.change import create
from lepton_ai.kernel.identifiers import new_id
from lepton_ai.types.base import Metadata
from lepton_ai.types.identity import Token
from lepton_ai.types.membership import JOINING_USER
from lepton_ai.types.node import Node
from lepton_ai.types.task import Task
from tests.unit.api.fakes import HARDWARE
from tests.unit.api.platform import Platform
from tests.unit.kernel.samples import allocation, task

NODES = "/api/v1/cluster/nodes"
VERSIONS = {"python": "3.11", "ray": "2.60.0", "lepton": "1.0"}


def invited(platform: Platform, **draft: Any) -> str:
    return str(platform.post("/api/v1/cluster/tokens", draft).json()["token"]).partition(".")[0]


def request_of(platform: Platform, name: str = "beta", **said: Any) -> dict[str, Any]:
    return {
        "name": name,
        "address": "10.0.0.2",
        "certificate_request": request_certificate(name)[1],
        "call_back": {"port": 4000, "nonce": "n" * 32},
        "hardware": HARDWARE.model_dump(mode="json"),
        "versions": VERSIONS,
        "sent_at": platform.clock.now().isoformat(),
        **said,
    }


def join(platform: Platform, token: str, name: str = "beta", **said: Any) -> httpx.Response:
    return platform.call("POST", NODES, token, json=request_of(platform, name, **said))


def joined(platform: Platform, name: str = "beta", **said: Any) -> dict[str, Any]:
    answer = join(platform, invited(platform), name, **said)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_machine_that_joins_becomes_a_node_with_its_hardware_and_labels(platform: Platform) -> None:
    joined(platform, labels={"site": "berlin"})
    (node,) = platform.store.all_live(Node)
    assert (node.name, node.status.state, node.status.address) == ("beta", "joining", "10.0.0.2")
    assert (node.status.hardware, node.metadata.labels) == (HARDWARE, {"site": "berlin"})


def test_its_certificate_is_for_its_name_and_its_address_alone(platform: Platform) -> None:
    certificate = x509.load_pem_x509_certificate(joined(platform)["certificate"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert certificate.subject.rfc4514_string() == "CN=beta"
    assert {str(address) for address in names.get_values_for_type(x509.IPAddress)} == {"10.0.0.2", "127.0.0.1", "::1"}


def test_a_join_token_holds_once(platform: Platform) -> None:
    token = invited(platform)
    assert [join(platform, token).status_code, join(platform, token, "gamma", address="10.0.0.3").status_code] == [
        201,
        401,
    ]


def test_a_join_token_ends_by_itself(platform: Platform) -> None:
    token = invited(platform, seconds=60)
    platform.clock.turn(timedelta(seconds=61))
    assert join(platform, token).status_code == 401


def test_a_join_token_opens_nothing_else(platform: Platform) -> None:
    token = invited(platform)
    paths = ("/api/v1/nodes", "/api/v1/whoami", "/api/v1/projects/default/jobs")
    assert {platform.call("GET", path, token).status_code for path in paths} == {403}
    assert platform.call("PUT", f"{NODES}/beta/report", token, json={}).status_code == 403


def test_only_the_hash_of_a_join_token_is_kept(platform: Platform) -> None:
    token = invited(platform)
    (kept,) = [one for one in platform.store.all_live(Token) if one.spec.user == JOINING_USER]
    assert token not in kept.model_dump_json()


def test_an_administrator_does_not_join_by_his_role(platform: Platform) -> None:
    assert join(platform, platform.admin).status_code == 403


@pytest.mark.parametrize(
    ("said", "status", "sentence"),
    [
        ({"versions": {**VERSIONS, "python": "3.12"}}, 409, "This machine has Python 3.12, the cluster has 3.11"),
        ({"versions": {**VERSIONS, "ray": "2.61.0"}}, 409, "This machine has Ray 2.61.0, the cluster has 2.60.0"),
        ({"versions": {**VERSIONS, "lepton": "1.1"}}, 409, "This machine has Lepton AI 1.1, the cluster has 1.0"),
        ({"sent_at": "2026-01-02T02:04:05Z"}, 422, "The clock of this machine is 3,600 s behind the core's"),
        ({"sent_at": "2026-01-02T04:04:06Z"}, 422, "s ahead of the core's"),
        ({"address": "127.0.0.1"}, 422, "is not an IP address that other machines can reach this one by"),
        ({"address": "10.0.0.9"}, 503, "The core cannot reach 10.0.0.9:4000"),
        ({"certificate_request": "none"}, 422, "this is no request for a certificate"),
    ],
    ids=["python", "ray", "lepton", "clock-behind", "clock-ahead", "loopback", "one-way", "no-request"],
)
def test_a_machine_that_cannot_be_a_node_is_told_why_and_keeps_its_token(
    platform: Platform, said: dict[str, Any], status: int, sentence: str
) -> None:
    platform.cluster.unreachable.add("10.0.0.9")
    token = invited(platform)
    refused = join(platform, token, **said)
    assert (refused.status_code, sentence in refused.json()["detail"]) == (status, True), refused.text
    assert join(platform, token).status_code == 201


def test_a_name_and_an_address_belong_to_one_node(platform: Platform) -> None:
    joined(platform)
    same_name = join(platform, invited(platform), address="10.0.0.3")
    same_address = join(platform, invited(platform), "gamma")
    assert (same_name.status_code, same_name.json()["detail"]) == (409, "There is a node 'beta' already.")
    assert (same_address.status_code, same_address.json()["detail"]) == (
        409,
        "The address 10.0.0.2 is that of node 'beta'.",
    )


def test_a_node_reports_renews_and_leaves_for_itself_and_for_nobody_else(platform: Platform) -> None:
    joined(platform, "gamma", address="10.0.0.3")
    own = joined(platform)["node_token"]
    renewal = {"certificate_request": request_certificate("beta")[1]}
    calls: Sequence[tuple[str, str, Any]] = (
        ("PUT", "report", {}),
        ("POST", "certificate", renewal),
        ("POST", "leave", None),
    )
    others = [
        platform.call(method, f"{NODES}/gamma/{verb}", own, json=body).status_code for method, verb, body in calls
    ]
    mine = [platform.call(method, f"{NODES}/beta/{verb}", own, json=body).status_code for method, verb, body in calls]
    assert (others, mine) == ([403, 403, 403], [204, 200, 204])


def test_a_node_that_left_is_known_no_more(platform: Platform) -> None:
    own = joined(platform)["node_token"]
    platform.call("POST", f"{NODES}/beta/leave", own)
    assert platform.call("PUT", f"{NODES}/beta/report", own, json={}).status_code == 401
    assert (platform.store.all_live(Node), platform.cluster.roster.has("beta")) == ([], False)


def test_why_ray_does_not_run_on_a_node_is_told_once_as_an_event(platform: Platform) -> None:
    own = joined(platform)["node_token"]
    for trouble in ("disk full", "disk full", "", ""):
        platform.call("PUT", f"{NODES}/beta/report", own, json={"trouble": trouble})
    told = [event.sentence for event in platform.store.events("platform") if event.code in {"ray_down", "ray_up"}]
    assert told == ["Ray does not run on beta: disk full", "Ray runs."]


def test_a_node_at_work_is_removed_only_on_purpose(platform: Platform) -> None:
    joined(platform)
    busy = task("busy").with_status(allocations=(allocation(node="beta"),))
    about = Metadata(id=new_id(Task.KIND, platform.clock.now()), name="busy", project="default")
    platform.store.commit([create(busy.replace(metadata=about))], actor="test")
    kept = platform.call("DELETE", "/api/v1/nodes/beta")
    gone = platform.call("DELETE", "/api/v1/nodes/beta?now=true")
    assert (kept.status_code, kept.json()["detail"]) == (409, "1 tasks run on node beta: busy.")
    assert (gone.status_code, platform.store.all_live(Node)) == (204, [])


def test_a_machine_that_was_removed_may_join_again(platform: Platform) -> None:
    joined(platform)
    platform.call("DELETE", "/api/v1/nodes/beta")
    joined(platform)
    assert platform.cluster.roster.has("beta")
