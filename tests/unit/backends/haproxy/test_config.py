"""The configuration that HAProxy reads: what it holds, and which changes need a reload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_ai.backends.haproxy import DataPlane
from lepton_ai.backends.haproxy.config import HEALTH, ROUTES, TOKENS, Rendering, Sockets, render, server_words
from lepton_ai.backends.haproxy.desired import Peer
from lepton_ai.errors import InvalidInput
from lepton_ai.types.data_plane import EndpointRoute, HealthCheck, NodeDoor, Server, ServerState, TokenGrant

SOCKETS = Sockets(Path("/h/run/stats.sock"), Path("/h/run/activator.sock"), "s3cret")
SERVER = Server(id="r1", address="10.0.0.1", port=8001, health_path="/health")
ROUTE = EndpointRoute(project="vision", name="digits", servers=(SERVER,))
PLANE = DataPlane(
    address="127.0.0.1",
    port=8443,
    server_pem=Path("/h/tls/server.pem"),
    core_socket=Path("/h/run/core.sock"),
    endpoints=(ROUTE,),
    tokens=(TokenGrant("a" * 64, "vision", 100),),
)


def rendered(plane: DataPlane, certificate: str = "PEM") -> Rendering:
    return render(plane, SOCKETS, certificate)


def lines(plane: DataPlane) -> list[str]:
    return [line.strip() for line in rendered(plane).config.splitlines()]


def test_the_maps_hold_routes_health_paths_and_tokens() -> None:
    maps = rendered(PLANE).maps
    assert maps[ROUTES] == {"vision/digits": "e.vision.digits"}
    assert maps[HEALTH] == {"r1": "/health"}
    assert maps[TOKENS] == {"a" * 64: "100", f"{'a' * 64}:vision": "100"}


def test_pieces_of_a_stream_are_sent_on_as_they_come() -> None:
    text = rendered(PLANE).config
    base = text[text.index("defaults base") : text.index("frontend lepton")]
    assert "option http-no-delay" in base, "without it, each event waits 200 ms for the next"


def test_a_token_with_several_grants_is_known_until_the_last_ends() -> None:
    grants = (TokenGrant("a" * 64, "vision", 100), TokenGrant("a" * 64, "*", 300), TokenGrant("a" * 64, "vision", 200))
    key = "a" * 64
    assert rendered(replace(PLANE, tokens=grants)).maps[TOKENS] == {
        key: "300",
        f"{key}:*": "300",
        f"{key}:vision": "200",
    }


def test_the_servers_are_in_the_file_so_that_a_restart_finds_them() -> None:
    assert f"server r1 {server_words(ROUTE, SERVER)}" in lines(PLANE)


def test_every_endpoint_can_fall_back_to_the_core() -> None:
    assert "server activator unix@/h/run/activator.sock backup" in lines(PLANE)


PEER = Peer(Path("/h/my node.pem"), Path("/h/ca.pem"))
FAR = replace(SERVER, id="far", address="10.0.0.2", port=28532, door=NodeDoor("beta", 40001))
ON_A_CLUSTER = replace(PLANE, peer=PEER, endpoints=(replace(ROUTE, servers=(FAR, SERVER)),))


def test_a_replica_behind_a_door_is_asked_for_by_name_over_tls_in_the_file_as_at_run_time() -> None:
    words = server_words(ROUTE, FAR, PEER)
    assert words.startswith("10.0.0.2:40001 ")
    name = "p28532.beta.node.lepton"
    tls = r"ssl verify required ca-file /h/ca.pem crt /h/my\ node.pem alpn http/1.1"
    assert f"{tls} sni str({name}) check-ssl check-sni {name} " in words
    assert f"server far {words}" in lines(ON_A_CLUSTER)
    # Without a server in the file that names them, HAProxy would refuse these certificates to one that is added later.
    assert f"server none 127.0.0.1:1 disabled {tls}" in lines(ON_A_CLUSTER)


def test_a_replica_here_is_spoken_to_as_without_a_cluster() -> None:
    assert server_words(ROUTE, SERVER, PEER) == server_words(ROUTE, SERVER)


CHANGES_WITHOUT_RELOAD: Mapping[str, DataPlane] = {
    "a token": replace(PLANE, tokens=()),
    "a new server": replace(PLANE, endpoints=(replace(ROUTE, servers=(SERVER, replace(SERVER, id="r2"))),)),
    "no server": replace(PLANE, endpoints=(replace(ROUTE, servers=()),)),
    "a weight": replace(PLANE, endpoints=(replace(ROUTE, servers=(replace(SERVER, weight=3),)),)),
    "a drain": replace(PLANE, endpoints=(replace(ROUTE, servers=(replace(SERVER, state=ServerState.DRAIN),)),)),
    "a health path": replace(PLANE, endpoints=(replace(ROUTE, servers=(replace(SERVER, health_path="/live"),)),)),
}
CHANGES_WITH_RELOAD: Mapping[str, DataPlane] = {
    "a new endpoint": replace(PLANE, endpoints=(ROUTE, replace(ROUTE, name="other", servers=()))),
    "no endpoint": replace(PLANE, endpoints=()),
    "a port": replace(PLANE, port=8444),
    "the core's socket": replace(PLANE, core_socket=Path("/h/run/other.sock")),
    "a kind of check": replace(PLANE, endpoints=(replace(ROUTE, health=HealthCheck.TCP),)),
}


@pytest.mark.parametrize("what", CHANGES_WITHOUT_RELOAD)
def test_what_changes_at_run_time_keeps_the_structure(what: str) -> None:
    assert rendered(CHANGES_WITHOUT_RELOAD[what]).structure == rendered(PLANE).structure


@pytest.mark.parametrize("what", CHANGES_WITH_RELOAD)
def test_what_needs_a_reload_changes_the_structure(what: str) -> None:
    assert rendered(CHANGES_WITH_RELOAD[what]).structure != rendered(PLANE).structure


def test_a_new_certificate_needs_a_reload() -> None:
    assert rendered(PLANE, "OTHER").structure != rendered(PLANE).structure


def test_the_certificate_is_not_copied_into_the_file() -> None:
    assert "PRIVATE" not in rendered(PLANE, "PRIVATE").config


def test_the_order_of_endpoints_and_servers_does_not_matter() -> None:
    other = replace(ROUTE, name="other", servers=(replace(SERVER, id="r3"), replace(SERVER, id="r2")))
    turned = replace(other, servers=other.servers[::-1])
    assert (
        rendered(replace(PLANE, endpoints=(ROUTE, other))).config
        == rendered(replace(PLANE, endpoints=(turned, ROUTE))).config
    )


def test_ipv6_addresses_stand_in_brackets() -> None:
    assert "bind [::1]:8443 ssl" in rendered(replace(PLANE, address="::1")).config
    assert server_words(ROUTE, replace(SERVER, address="fd00::1")).startswith("[fd00::1]:8001 ")


def test_a_limit_of_concurrency_brings_a_bounded_queue() -> None:
    limited = replace(ROUTE, max_concurrency=4, queue_max=9)
    assert "maxconn 4" in server_words(limited, SERVER)
    assert "if { queue ge 9 }" in rendered(replace(PLANE, endpoints=(limited,))).config


def test_a_server_without_a_health_path_is_not_probed_over_http() -> None:
    silent = replace(SERVER, health_path="")
    assert "check" not in server_words(ROUTE, silent)
    assert "check" in server_words(replace(ROUTE, health=HealthCheck.TCP), silent)


def test_the_health_map_is_only_kept_where_the_configuration_uses_it() -> None:
    assert HEALTH not in rendered(replace(PLANE, endpoints=(replace(ROUTE, health=HealthCheck.TCP),))).maps


@given(name=st.text(max_size=20), path=st.text(max_size=20), server=st.text(max_size=20))
def test_no_text_adds_a_line_to_the_configuration_or_an_entry_to_a_map(name: str, path: str, server: str) -> None:
    plain = rendered(PLANE)
    try:
        route = replace(ROUTE, name=name, servers=(replace(SERVER, id=server, health_path=path),))
        told = rendered(replace(PLANE, endpoints=(route,)))
    except InvalidInput:
        return
    assert told.config.count("\n") == plain.config.count("\n")
    assert [len(entries) for entries in told.maps.values()][:2] == [2, 1]
    assert all(len(f"{key} {value}".split()) == 2 for entries in told.maps.values() for key, value in entries.items())
