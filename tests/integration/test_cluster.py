"""Machines become one cluster, strangers get nothing from it, and it lives through the loss of its parts."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from lepton_ai.backends.ray_cluster.doors import Answer
from lepton_ai.testing.namespaces import why_not
from tests.integration.cluster_rig import Station, stations
from tests.integration.local_runtime.machine import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]

HAS_REDIS = shutil.which("redis-server") is not None
RESOURCES = """
import ray
ray.init(address="auto", _node_ip_address={address!r}, log_to_driver=False, logging_level="error")
found = next(node for node in ray.nodes() if node["Labels"]["lepton.ai/node"] == "beta")
print(found["Alive"], found["NodeManagerAddress"], int(found["Resources"]["CPU"]))
"""


@pytest.fixture(scope="module")
def started() -> Iterator[list[Station]]:
    with stations(2) as found:
        done = found[0].lepton("up", "--cluster")
        assert done.returncode == 0, done.stderr
        yield found


@pytest.fixture
def cluster(started: list[Station]) -> list[Station]:
    """The core's machine, and one that has joined: again if the test before took it out."""
    core, other = started
    other.ensure_joined(core, "--name", "beta", "--label", "site=berlin")
    return started


def test_a_machine_that_joined_is_listed_with_its_hardware_and_labels(cluster: list[Station]) -> None:
    core, other = cluster
    wait_for(lambda: core.state_of("beta") == "ready")
    beta = core.nodes()["beta"]
    assert beta["status"]["address"] == other.machine.address
    assert beta["status"]["hardware"]["threads"] >= 1
    assert beta["metadata"]["labels"] == {"site": "berlin"}


def test_ray_knows_the_node_by_our_name_with_what_we_measured(cluster: list[Station]) -> None:
    core, other = cluster
    threads = core.nodes()["beta"]["status"]["hardware"]["threads"]
    env = {**core.place.ray_environment(), "RAY_ADDRESS": f"{core.machine.address}:6379"}
    done = core.python("-c", RESOURCES.format(address=core.machine.address), **env)
    assert done.stdout.split() == ["True", other.machine.address, str(threads)], done.stderr


def test_work_runs_on_the_machine_whose_labels_it_asks_for(cluster: list[Station]) -> None:
    core, other = cluster
    wait_for(lambda: core.state_of("beta") == "ready")
    done = core.lepton("run", "--workdir", "none", "--where", "site=berlin", "--", "ip", "-o", "address")
    assert done.returncode == 0, done.stderr
    assert other.machine.address in done.stdout


def test_strangers_find_no_open_port_on_any_machine(cluster: list[Station]) -> None:
    core, other = cluster
    found = [*core.knock_at(other).values(), *other.knock_at(core).values()]
    assert len(found) >= 7  # head: GCS, two of the raylet, runtime environments; node: the latter three; and workers
    assert {Answer(answer) for answer, _ in found} == {Answer.MUTUAL_TLS, Answer.REFUSED}


def test_a_client_with_a_certificate_but_a_wrong_token_is_refused(cluster: list[Station]) -> None:
    core, other = cluster
    wrong = other.home / "wrong.token"
    wrong.write_text("0" * 64)
    address = f"{core.machine.address}:6379"
    check = ("-m", "ray.scripts.scripts", "health-check", "--address", address)
    right_one = other.python(*check, **other.place.ray_environment())
    wrong_one = other.python(*check, **{**other.place.ray_environment(), "RAY_AUTH_TOKEN_PATH": str(wrong)})
    assert (right_one.returncode, wrong_one.returncode != 0) == (0, True), wrong_one.stderr


def test_what_a_node_keeps_is_for_its_owner_alone(cluster: list[Station]) -> None:
    modes = {path.name: path.stat().st_mode & 0o077 for each in cluster for path in each.place.folder.iterdir()}
    assert {"node.pem", "ray.token", "joined.json"} <= modes.keys()
    assert set(modes.values()) == {0}


def test_a_core_that_is_not_the_one_of_the_token_is_told_nothing(cluster: list[Station]) -> None:
    core, other = cluster
    gamma = Station(other.machine, other.home / "gamma")
    done = gamma.lepton("join", core.url, "--token", core.token()[:-1] + "x")
    assert "not the instance that made this join token" in done.stderr
    assert done.returncode == 1


def test_a_name_that_is_taken_is_refused_and_does_not_use_the_token_up(cluster: list[Station]) -> None:
    core, other = cluster
    gamma, token = Station(other.machine, other.home / "gamma"), core.token()
    again = [gamma.lepton("join", core.url, "--token", token, "--name", "beta") for _ in range(2)]
    assert ["There is a node 'beta' already." in done.stderr for done in again] == [True, True]


def test_a_core_that_is_not_there_is_told_of(cluster: list[Station]) -> None:
    core, other = cluster
    gamma = Station(other.machine, other.home / "gamma")
    done = gamma.lepton("join", f"https://{core.machine.address}:9", "--token", core.token())
    assert "cannot be reached: Connection refused" in done.stderr
    assert done.returncode == 1


def test_ray_that_dies_on_a_node_is_started_again(cluster: list[Station]) -> None:
    core, other = cluster
    before = other.ray_pid()
    other.process("/raylet/raylet").send_signal(signal.SIGKILL)
    wait_for(lambda: other.ray_pid() not in {0, before})
    wait_for(lambda: len(other.ports()) >= 3)
    wait_for(lambda: core.state_of("beta") == "ready")
    assert {Answer(answer) for answer, _ in core.knock_at(other).values()} == {Answer.MUTUAL_TLS, Answer.REFUSED}


def test_an_agent_that_is_killed_comes_back_and_leaves_ray_alone(cluster: list[Station]) -> None:
    core, other = cluster
    before, worker = other.ray_pid(), other.process("lepton_ai.agent --work")
    worker.send_signal(signal.SIGKILL)
    wait_for(lambda: other.process("lepton_ai.agent").children()[:1] not in ([], [worker]))
    wait_for(lambda: core.state_of("beta") == "ready")
    assert other.ray_pid() == before


def test_a_core_that_is_killed_leaves_the_cluster_running_for_the_next_one(cluster: list[Station]) -> None:
    core, other = cluster
    before = core.ray_pid(), other.ray_pid()
    core.process("lepton_ai.app").send_signal(signal.SIGKILL)
    again = core.lepton("up", "--cluster")
    assert again.returncode == 0, again.stderr
    wait_for(lambda: core.state_of("beta") == "ready")
    assert (core.ray_pid(), other.ray_pid()) == before


def test_a_node_leaves_and_nothing_of_it_stays(cluster: list[Station]) -> None:
    core, other = cluster
    done = other.lepton("leave")
    assert done.returncode == 0, done.stderr
    assert "beta" not in core.nodes()
    assert not other.ray_pid()
    assert {path.name for path in other.place.folder.iterdir()}.isdisjoint({"joined.json", "node.pem", "ray.token"})


def test_a_node_that_is_removed_ends_its_ray(cluster: list[Station]) -> None:
    core, other = cluster
    assert core.lepton("node", "remove", "beta").returncode == 0
    wait_for(lambda: not other.ray_pid())
    assert "beta" not in core.nodes()


@pytest.mark.parametrize(
    ("store", "then", "where"),
    [
        # Beta belonged to a cluster that is no more; it comes to the new one within a minute.
        pytest.param("memory", ("queued", 2), (), id="memory"),
        pytest.param(
            "redis",
            ("running", 1),
            ("--where", "node=beta"),
            id="redis",
            marks=pytest.mark.skipif(not HAS_REDIS, reason="no redis-server here"),
        ),
    ],
)
def test_a_head_that_dies_costs_what_runs_elsewhere_only_where_nothing_keeps_what_it_knew(
    store: str, then: tuple[str, int], where: tuple[str, ...]
) -> None:
    with stations(2) as (machine, other):
        core = replace(machine, env={"LEPTON_CLUSTER_STORE": store})
        assert core.lepton("up", "--cluster").returncode == 0
        other.ensure_joined(core, "--name", "beta")
        wait_for(lambda: core.state_of("beta") == "ready")
        run = ("run", "--detach", "--workdir", "none", "--name", "long", "--where", "node=beta")
        assert core.lepton(*run, "--", "sleep", "1000").returncode == 0
        wait_for(lambda: core.job("long") == ("running", 1))
        before = core.ray_pid()
        core.process("gcs/gcs_server").send_signal(signal.SIGKILL)
        wait_for(lambda: core.ray_pid() not in {0, before})
        wait_for(core.is_answering)
        assert core.lepton("run", "--workdir", "none", *where, "--", "true").returncode == 0
        wait_for(lambda: core.job("long") == then)
