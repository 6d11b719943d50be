"""The task of an endpoint's replica: what runs, and how it learns where to listen."""

from __future__ import annotations

import pytest

from lepton_ai.services.endpoints.task import READY_PATH, health_path, task_for
from lepton_ai.types.endpoint import Endpoint
from tests.unit.kernel.samples import NOW
from tests.unit.services.endpoints.samples import endpoint

APP = endpoint(command=(), app="digits:Digits")
MODEL = endpoint(command=(), model="digits.onnx")


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (endpoint(), ("serve",)),
        (APP, ("python", "-m", "lepton_ai.serving", "--app", "digits:Digits")),
        (MODEL, ("python", "-m", "lepton_ai.serving", "--model", "digits.onnx", "--name", "digits")),
    ],
)
def test_a_command_runs_as_it_is_and_apps_and_models_under_the_server(of: Endpoint, words: tuple[str, ...]) -> None:
    assert task_for(of, 1, NOW).spec.program.command == words


def test_a_replica_takes_a_free_port_unless_the_spec_names_one() -> None:
    free, fixed = task_for(endpoint(), 1, NOW).spec.program, task_for(endpoint(port=8080), 1, NOW).spec.program
    assert (free.needs_port, "PORT" in free.env) == (True, False)
    assert (fixed.needs_port, fixed.env["PORT"]) == (False, "8080")


def test_apps_tell_when_they_are_ready_and_commands_only_if_they_name_a_path() -> None:
    assert (health_path(APP.spec), health_path(endpoint().spec)) == (READY_PATH, "")
    assert health_path(endpoint(health_path="/up").spec) == "/up"
