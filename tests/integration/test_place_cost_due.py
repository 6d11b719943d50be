"""Where work runs, what it may cost and by when it is due, on the real platform, as a user types it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.local_runtime.machine import wait_for
from tests.integration.test_cli_platform import Machine, up

HERE = ("--workdir", "none")


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    # The folder's path is short, so that the sockets lie in it.
    with tempfile.TemporaryDirectory(prefix="lepton-", dir="/tmp") as folder:
        made = Machine(Path(folder))
        up(made)
        yield made
        made.lepton("down")


def read(machine: Machine, *words: str) -> Any:
    done = machine.lepton(*words, "--output", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def status(machine: Machine, name: str) -> Any:
    return read(machine, "job", "get", name)["status"]


def node(machine: Machine) -> str:
    return str(read(machine, "node", "list")[0]["metadata"]["name"])


def test_a_job_waits_for_its_place_and_runs_once_a_node_is_there(machine: Machine) -> None:
    machine.lepton("run", "--detach", "--name", "there", "--where", "site=berlin", *HERE, "--", "true")
    wait_for(lambda: status(machine, "there")["reason"]["code"] == "no_such_place")
    assert "give one: lepton node label NODE site=berlin" in machine.lepton("explain", "there").stdout
    refused = machine.lepton("node", "label", node(machine), "si te=berlin")
    assert (refused.returncode, "is not a label's key" in refused.stderr) == (1, True)
    assert machine.lepton("node", "label", node(machine), "site=berlin").returncode == 0
    wait_for(lambda: status(machine, "there")["state"] == "succeeded")
    assert "node.update" in machine.lepton("audit", "list").stdout


def test_a_job_is_stopped_at_its_limit_and_one_that_costs_more_does_not_start(machine: Machine) -> None:
    assert machine.lepton("node", "price", node(machine), "36000").returncode == 0
    words = ("--cpu", "1", "--expected-duration", "1s", "--max-cost")
    machine.lepton("run", "--detach", "--name", "dear", *words, "0.001", *HERE, "--", "true")
    wait_for(lambda: status(machine, "dear")["reason"]["code"] == "too_dear")
    # Once the node costs nothing it would run, far shorter than stated, and the next test's statement would count less.
    assert machine.lepton("job", "stop", "dear").returncode == 0
    ran = machine.lepton("run", "--name", "costly", *words, "20", *HERE, "--", "sleep", "60")
    assert ran.returncode not in {0, 2}
    ended = status(machine, "costly")
    assert (ended["state"], ended["exit_kind"], ended["reason"]["code"]) == ("failed", "cost_limit", "cost_limit")
    assert "may cost 20 in all: it is stopped." in ended["reason"]["sentence"]
    machine.lepton("node", "price", node(machine), "0")


def test_a_job_that_is_due_is_explained_with_its_urgency(machine: Machine) -> None:
    done = machine.lepton("run", "--name", "due", "--due", "1s", "--expected-duration", "1h", *HERE, "--", "true")
    assert done.returncode == 0
    shown = machine.lepton("explain", "due").stdout
    assert "after it is due" in shown
    assert "urgency 16" in shown
    refused = machine.lepton("run", "--due", "2026-05-01T18:00", *HERE, "--", "true")
    assert (refused.returncode, "has no time zone" in refused.stderr) == (1, True)
