"""What the data plane refuses to be told: names and addresses that could become words or lines of a configuration."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lepton_ai.backends.haproxy import DataPlane
from lepton_ai.errors import InvalidInput
from lepton_ai.types.data_plane import EndpointRoute, Server, ServerState, TokenGrant

HOSTILE = (
    "",
    " ",
    "a b",
    "a;b",
    "a\nb",
    "a\tb",
    "a'b",
    'a"b',
    "a\\b",
    "a#b",
    "a\x00b",
    "a${HOME}",
    "a%[src]",
    "é",
    "../a",
)
SERVER = Server(id="r1", address="10.0.0.1", port=80)
PLANE = DataPlane(address="127.0.0.1", port=8443, server_pem=Path("/h/server.pem"), core_socket=Path("/h/core.sock"))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        EndpointRoute(project=text, name="digits")
    with pytest.raises(InvalidInput):
        EndpointRoute(project="vision", name=text)
    with pytest.raises(InvalidInput):
        replace(SERVER, id=text)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_addresses_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        replace(SERVER, address=text)
    with pytest.raises(InvalidInput):
        replace(PLANE, address=text)


@pytest.mark.parametrize(
    "text", ["health", "/a b", "/a;b", "/a\nb", "/a'b", '/a"b', "/a\\b", "/a#b", "/é", "/" + "a" * 255]
)
def test_hostile_health_paths_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        replace(SERVER, health_path=text)


@pytest.mark.parametrize("text", ["core.sock", "/a b/core.sock", "/a\ncore.sock", "/a$HOME", "/a,b", "/" + "a" * 107])
def test_hostile_socket_paths_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        replace(PLANE, core_socket=Path(text))


@pytest.mark.parametrize("text", ["server.pem", "/a'b", "/a\nb"])
def test_hostile_certificate_paths_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        replace(PLANE, server_pem=Path(text))


@pytest.mark.parametrize("text", [*HOSTILE, "**", "*:vision"])
def test_hostile_projects_of_tokens_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        TokenGrant("0" * 64, text)


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 63 + "\n"])
def test_a_token_is_known_by_its_digest_alone(text: str) -> None:
    with pytest.raises(InvalidInput):
        TokenGrant(text, "vision")


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_is_a_port(port: int) -> None:
    with pytest.raises(InvalidInput):
        replace(SERVER, port=port)
    with pytest.raises(InvalidInput):
        replace(PLANE, port=port)


@pytest.mark.parametrize("seconds", [0, -1, 8 * 86400])
def test_a_time_out_is_more_than_nothing_and_less_than_for_ever(seconds: int) -> None:
    with pytest.raises(InvalidInput):
        EndpointRoute(project="vision", name="digits", request_timeout=timedelta(seconds=seconds))


def test_an_endpoint_or_a_server_named_twice_is_refused() -> None:
    route = EndpointRoute(project="vision", name="digits", servers=(SERVER,))
    with pytest.raises(InvalidInput, match="same endpoint twice"):
        replace(PLANE, endpoints=(route, route))
    with pytest.raises(InvalidInput, match="same server id twice: r1"):
        replace(PLANE, endpoints=(route, replace(route, name="other")))


def test_the_name_of_the_activator_is_taken() -> None:
    with pytest.raises(InvalidInput):
        replace(SERVER, id="activator")


def test_endpoints_never_share_a_backend() -> None:
    one, other = EndpointRoute(project="a-b", name="c"), EndpointRoute(project="a", name="b-c")
    assert one.backend != other.backend


def test_draining_is_a_weight_of_zero() -> None:
    assert replace(SERVER, weight=7).effective_weight == 7
    assert replace(SERVER, weight=7, state=ServerState.DRAIN).effective_weight == 0
