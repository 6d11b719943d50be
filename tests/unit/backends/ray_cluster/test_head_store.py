"""Where Ray's head keeps what it knows, and that the password to it is shown to nobody."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lepton_ai.backends.ray_cluster.head_store import MemoryStore, open_store
from lepton_ai.backends.ray_cluster.place import ClusterPlace
from lepton_ai.backends.ray_cluster.start_hook import PASSWORD, USER, close_doors
from lepton_ai.errors import InvalidInput

SECRET = "a-secret-word"


def environment(setting: str, authority: str = "") -> Mapping[str, str]:
    return open_store(setting, authority, ClusterPlace(Path("/nowhere")), "lepton-alpha").environment()


def test_memory_is_the_default_and_needs_nothing() -> None:
    assert isinstance(open_store("", "", ClusterPlace(Path("/nowhere")), ""), MemoryStore)
    assert environment("memory") == {}


def test_a_foreign_redis_is_reached_by_tls_with_a_name_and_a_password() -> None:
    found = environment(f"rediss://ada:{SECRET}@redis.example:7000", "/etc/their-ca.pem")
    assert found == {
        "RAY_REDIS_ADDRESS": "rediss://redis.example:7000",
        "RAY_external_storage_namespace": "lepton-alpha",
        "RAY_REDIS_CA_CERT": "/etc/their-ca.pem",
        "RAY_REDIS_SERVER_NAME": "redis.example",
        USER: "ada",
        PASSWORD: SECRET,
    }


@pytest.mark.parametrize("setting", ["postgres://x", "rediss://", f"rediss://u:{SECRET}@h:port", "radis"])
def test_what_is_no_store_is_refused_without_repeating_a_password(setting: str) -> None:
    with pytest.raises(InvalidInput, match="cluster_store must be") as refused:
        environment(setting)
    assert SECRET not in str(refused.value)


class Services:
    """Stands in for Ray's module of that name: remembers what was started, and how."""

    def __init__(self) -> None:
        self.started: list[tuple[list[str], dict[str, Any]]] = []

    def start_ray_process(self, command: list[str], **named: Any) -> None:
        self.started.append((command, named))


def test_the_password_is_in_no_argument_and_in_no_environment_but_the_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    services = Services()
    monkeypatch.setitem(sys.modules, "ray._private.services", services)
    monkeypatch.setenv(PASSWORD, SECRET)
    parameters = SimpleNamespace(ray_client_server_port=10001, redis_username="", redis_password="")
    close_doors(parameters, True)
    assert (parameters.redis_password, PASSWORD in os.environ) == (SECRET, False)
    services.start_ray_process(["gcs_server", f"--redis_password={SECRET}"], env_updates={"A": "1"})
    services.start_ray_process(["raylet"])
    assert services.started == [
        (["gcs_server", "--fromenv=redis_password"], {"env_updates": {"A": "1", "FLAGS_redis_password": SECRET}}),
        (["raylet"], {}),
    ]
