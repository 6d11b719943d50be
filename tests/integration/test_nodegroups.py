"""A queue that grows brings a real node, its job runs there, and the node goes; a core killed meanwhile leaks none."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from lepton_ai.testing.namespaces import PREFIX, why_not
from tests.integration.cluster_rig import Station, stations
from tests.integration.local_runtime.machine import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]


@pytest.fixture(scope="module")
def core() -> Iterator[Station]:
    """A cluster of one machine, with a group of further ones on this."""
    with stations(1) as (found,):
        done = found.lepton("up", "--cluster")
        assert done.returncode == 0, done.stderr
        switch = found.machine.namespace.rsplit("-", 1)[0] + "-switch"
        settings = ("-s", f"switch={switch}", "-s", f"network={PREFIX}", "-s", 'config=simulated_devices = "1x80GB"')
        shape = ("--cpu", "1", "--memory", "2GB", "--devices", "1xsimulated-gpu-80gb", "--device-memory", "80GB")
        times = ("--idle-time", "1s", "--boot-time", "60s", "--label", "site=cloud", "--price", "2.5")
        made = found.lepton("nodegroup", "create", "g", "--provider", "process", *settings, *shape, *times)
        assert made.returncode == 0, made.stderr
        try:
            yield found
        finally:
            assert found.lepton("nodegroup", "delete", "g").returncode == 0
            wait_for(lambda: not found.told("nodegroup", "list"))


def states(core: Station) -> list[str]:
    return [node["state"] for node in core.told("nodegroup", "show", "g")["status"]["nodes"]]


def test_a_node_comes_for_what_waits_and_goes_when_it_is_idle_though_the_core_is_killed_meanwhile(
    core: Station,
) -> None:
    words = ("run", "--detach", "--name", "far", "--workdir", "none", "--gpu", "simulated:1", "--where", "site=cloud")
    assert core.lepton(*words, "--", "sh", "-c", "echo I am on $LEPTON_NODE").returncode == 0
    wait_for(lambda: states(core) == ["creating"])
    why = core.told("explain", "far")["reason"]["sentence"]
    assert "A node of group g is being started, ready in about" in why

    core.process("lepton_ai.app").send_signal(signal.SIGKILL)
    again = core.lepton("up", "--cluster")
    assert again.returncode == 0, again.stderr

    wait_for(lambda: core.told("job", "get", "far")["status"]["state"] == "succeeded")
    (replica,) = core.told("job", "get", "far")["status"]["replicas"]
    assert replica["node"].startswith("g-")
    assert replica["node"] in core.lepton("job", "logs", "far").stdout
    wait_for(lambda: states(core) == [])
    assert set(core.nodes()) == {"".join(core.nodes())}  # the core's own machine alone
    assert not list((core.home / "process-nodes").iterdir())
