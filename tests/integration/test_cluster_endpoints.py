"""Endpoints on a cluster: replicas on other machines answer through their nodes' doors, which nobody else may enter."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator, Mapping
from functools import partial

import psutil
import pytest

from lepton_ai.backends.ray_cluster.node_door import read_port
from lepton_ai.testing.namespaces import why_not
from tests.integration.cluster_rig import Station, stations
from tests.integration.local_runtime.machine import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]

# Asks often, and tells how many answers there were of each status and from which nodes.
ASK = """
import collections, json, sys
import httpx
url, token, count = sys.argv[1], open(sys.argv[2]).read().strip(), int(sys.argv[3])
client = httpx.Client(headers={"Authorization": f"Bearer {token}"}, verify=False, timeout=30)
answers = [client.get(url) for _ in range(count)]
told = collections.Counter(one.text.strip() if one.status_code == 200 else str(one.status_code) for one in answers)
print(json.dumps(told))
"""
# A node that has a certificate of the same authority, but is not the core.
ENTER = """
import socket, ssl, sys
address, port, name, pem, authority = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
context.check_hostname = False
if pem:
    context.load_cert_chain(pem)
try:
    inside = context.wrap_socket(socket.create_connection((address, int(port)), 5), server_hostname=name)
    inside.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
    print(inside.recv(100))
except OSError as error:
    print("closed", type(error).__name__)
"""
SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = os.environ["LEPTON_NODE"].encode()
        self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body))
    def log_message(self, *_): ...
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[Station]]:
    with stations(3) as made:
        core, beta, gamma = made
        done = core.lepton("up", "--cluster")
        assert done.returncode == 0, done.stderr
        beta.ensure_joined(core, "--name", "beta")
        gamma.ensure_joined(core, "--name", "gamma")
        for name in ("beta", "gamma"):
            wait_for(partial(is_ready, core, name))
            done = core.lepton(
                "endpoint", "create", f"on-{name}", "--where", f"node={name}", "--cpu", "0.2", "--replicas", "1",
                "--workdir", "none", "--", "python", "-c", SERVER,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
        yield made


def is_ready(core: Station, node: str) -> bool:
    """Tell whether a node takes work."""
    return core.state_of(node) == "ready"


def ask(core: Station, endpoint: str, count: int) -> Mapping[str, int]:
    """Return how often there was which answer."""
    url = f"{core.url}/endpoints/default/{endpoint}/"
    done = core.python("-c", ASK, url, str(core.home / "admin.token"), str(count))
    assert done.returncode == 0, done.stderr
    found: Mapping[str, int] = json.loads(done.stdout)
    return found


def test_replicas_on_other_machines_answer(cluster: list[Station]) -> None:
    core = cluster[0]
    assert ask(core, "on-beta", 20) == {"beta": 20}
    assert ask(core, "on-gamma", 20) == {"gamma": 20}


def test_nobody_but_the_core_comes_through_a_door(cluster: list[Station]) -> None:
    core, beta, gamma = cluster
    port, inner = read_port(beta.place), replica_port(core, "on-beta")
    name = f"p{inner}.beta.node.lepton"
    whoever = (beta.machine.address, str(port), name)
    authority = str(core.place.authority)
    assert b"200" in enter(core, *whoever, str(core.place.certificate), authority)
    assert b"200" not in enter(gamma, *whoever, str(gamma.place.certificate), authority)
    assert b"200" not in enter(gamma, *whoever, "", authority)


def test_a_door_that_was_killed_opens_again_and_an_agent_that_was_killed_shuts_none(cluster: list[Station]) -> None:
    core, beta, _ = cluster
    door = beta.process("/door/haproxy.cfg")
    for process in [door, *door.children()]:
        process.kill()
    wait_for(lambda: answers(core, "on-beta"))
    agent = beta.process("lepton_ai.agent")
    for process in [agent, *agent.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            os.kill(process.pid, signal.SIGKILL)
    assert ask(core, "on-beta", 5) == {"beta": 5}


def test_an_endpoint_that_loses_a_machine_answers_on_from_the_other(cluster: list[Station]) -> None:
    core, beta, _ = cluster
    # More than half of a machine each, so that no two are on one; what was there before would be in the way.
    assert core.lepton("endpoint", "delete", "on-beta").returncode == 0
    words = ("--where", "node=beta|gamma", "--cpu", "1.1", "--replicas", "2", "--workdir", "none")
    done = core.lepton("endpoint", "create", "both", *words, "--", "python", "-c", SERVER)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: ask(core, "both", 10).keys() == {"beta", "gamma"})
    for pid in beta.machine.pids():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert ask(core, "both", 50) == {"gamma": 50}
    wait_for(lambda: core.state_of("beta") == "lost")


def test_a_node_that_leaves_takes_its_door_along(cluster: list[Station]) -> None:
    core, _, gamma = cluster
    port = read_port(gamma.place)
    assert gamma.lepton("leave", "--now").returncode == 0
    assert (read_port(gamma.place), port > 0) == (0, True)
    assert [pid for pid in gamma.machine.pids() if "/door/haproxy.cfg" in " ".join(psutil.Process(pid).cmdline())] == []
    assert core.lepton("node", "list").returncode == 0


def enter(station: Station, *words: str) -> bytes:
    """Return what somebody on that machine is told who knows where a replica is."""
    return station.python("-c", ENTER, *words).stdout.encode()


def replica_port(core: Station, endpoint: str) -> int:
    """Return the loopback port of the endpoint's one replica."""
    status = core.told("endpoint", "get", endpoint)["status"]
    return int(status["replicas"][0]["port"])


def answers(core: Station, endpoint: str) -> bool:
    """Tell whether an endpoint answers now."""
    return "beta" in ask(core, endpoint, 1)
