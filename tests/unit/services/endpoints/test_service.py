"""The endpoints service at work over imagined machines: who is routed to, who is woken, what outlives a restart."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lepton_ai.kernel.change import create
from lepton_ai.services.endpoints.service import WANTED_FOR, Endpoints
from lepton_ai.testing.behaviour import Behaviour
from lepton_ai.types.base import Metadata
from lepton_ai.types.data_plane import Server, ServerState
from lepton_ai.types.endpoint import EndpointState
from lepton_ai.types.identity import Role, Token, TokenSpec, User, UserSpec
from tests.unit.kernel.rig import RUNS_ON, Rig

KEY = ("default", "digits")
SHA = "0" * 64


@pytest.fixture
def rig() -> Rig:
    return Rig()


def servers(rig: Rig) -> tuple[Server, ...]:
    return rig.plane.routes[KEY].servers


def service(rig: Rig) -> Endpoints:
    found = rig.core.opened["endpoints"]
    assert isinstance(found, Endpoints)
    return found


def test_requests_go_to_a_replica_once_it_answers(rig: Rig) -> None:
    rig.serve(command=Behaviour(seconds=0, warm_up=3).command())
    rig.work(2)
    assert (servers(rig), rig.endpoint().status.state) == ((), EndpointState.STARTING)
    rig.work(2)
    (server,) = servers(rig)
    assert (server.address, server.port, server.state) == ("10.0.0.1", 20001, ServerState.READY)
    assert rig.endpoint().status.url == "https://127.0.0.1:8443/endpoints/default/digits/"


def test_a_replica_that_died_is_routed_to_no_more_and_replaced(rig: Rig) -> None:
    rig.serve()
    rig.work(20)
    (before,) = servers(rig)
    (process,) = rig.runtime.fleet["node-1"].processes.values()
    process.kill(rig.clock.now())
    rig.work()
    assert before.id not in {server.id for server in servers(rig)}
    rig.work(5)
    assert rig.endpoint().status.state is EndpointState.READY


def test_a_replica_that_leaves_gets_nothing_new_and_ends_what_it_has(rig: Rig) -> None:
    endpoint = rig.serve(replicas=2)
    rig.work(2)
    busy = sorted(server.id for server in servers(rig))[-1]
    rig.plane.in_flight = {busy: 1}
    rig.change(endpoint, replicas=1)
    rig.work(5)
    assert {server.id: server.state for server in servers(rig)}[busy] is ServerState.DRAIN
    rig.plane.in_flight = {}
    rig.work(2)
    assert [server.state for server in servers(rig)] == [ServerState.READY]


def test_an_update_always_leaves_a_replica_that_serves(rig: Rig) -> None:
    endpoint = rig.serve(command=Behaviour(seconds=0, warm_up=2).command())
    rig.work(4)
    rig.change(endpoint, env={"VERSION": "2"})
    for _ in range(20):
        rig.work(0.5)
        assert any(server.state is ServerState.READY for server in servers(rig))
    assert rig.endpoint().status.updated_replicas == 1


def test_an_idle_endpoint_sleeps_and_a_request_wakes_it(rig: Rig) -> None:
    rig.serve(idle_timeout="10s")
    rig.work(15)
    assert (rig.endpoint().status.state, rig.running()) == (EndpointState.ASLEEP, [])
    service(rig).want(rig.endpoint())
    rig.work(2)
    assert rig.endpoint().status.state is EndpointState.READY
    assert service(rig).look(*KEY) is not None


def test_a_wish_is_forgotten_when_nobody_repeats_it(rig: Rig) -> None:
    rig.serve(idle_timeout="10s")
    rig.work(15)
    service(rig).want(rig.endpoint())
    rig.clock.advance(WANTED_FOR + timedelta(seconds=1))
    rig.work(1)
    assert rig.endpoint().status.state is EndpointState.ASLEEP


def test_an_endpoint_with_requests_does_not_fall_asleep(rig: Rig) -> None:
    rig.serve(idle_timeout="10s")
    rig.work(2)
    rig.plane.in_flight = {servers(rig)[0].id: 1}
    rig.work(30)
    assert rig.endpoint().status.state is EndpointState.READY


def test_a_restart_of_the_core_neither_moves_a_route_nor_stops_an_old_replica(rig: Rig) -> None:
    """A core that gave up on replicas before it had asked them would stop every one older than the time-out."""
    rig.serve(start_timeout="10s")
    rig.work(60)
    before, events = servers(rig), len(rig.store.events())
    rig.start()
    rig.core.loop.try_pass()
    assert servers(rig) == before
    rig.work(60)
    assert (servers(rig), len(rig.store.events())) == (before, events)


def test_a_restart_while_the_data_plane_is_away_asks_again_before_it_judges(rig: Rig) -> None:
    rig.serve(start_timeout="10s", command=RUNS_ON)
    rig.work(60)
    before = rig.running()
    rig.plane.routes = {}
    rig.start()
    rig.work(30)
    assert (rig.running(), rig.endpoint().status.state) == (before, EndpointState.READY)


def test_a_replica_without_a_port_yet_keeps_no_other_endpoint_from_its_routes(rig: Rig) -> None:
    rig.serve("other")
    rig.work(2)
    rig.runtime.fleet["node-1"].lag = timedelta(seconds=3)
    rig.serve("digits")
    rig.work(2)
    assert len(rig.plane.routes["default", "other"].servers) == 1


def test_a_deleted_endpoint_has_no_route(rig: Rig) -> None:
    endpoint = rig.serve()
    rig.work(2)
    rig.delete(endpoint)
    rig.work(5)
    assert (rig.plane.routes, rig.running(), service(rig).look(*KEY)) == ({}, [], None)


def test_the_tokens_of_members_open_the_endpoints_of_their_projects_and_those_of_viewers_do_not(rig: Rig) -> None:
    people = {"ada": {"vision": Role.MEMBER, "speech": Role.VIEWER}, "bob": {"vision": Role.VIEWER}}
    made = [
        thing
        for number, (name, roles) in enumerate(people.items())
        for thing in (
            User(metadata=Metadata(id=f"user-{name}", name=name, project="platform"), spec=UserSpec(roles=roles)),
            Token(
                metadata=Metadata(id=f"token-{name}", name=name, project="platform"),
                spec=TokenSpec(user=name, sha256=f"{number}" * 64),
            ),
        )
    ]
    rig.store.commit([create(thing) for thing in made], actor="admin")
    rig.work(1)
    assert [(grant.sha256, grant.project) for grant in rig.plane.tokens] == [(SHA, "vision")]
