"""A client that is killed in the middle of a put leaves the object as it was, whole, and nothing half."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lepton_ai.backends.object_stores.local import LocalStores
from lepton_ai.backends.object_stores.seaweed.stores import SeaweedStores
from lepton_ai.kernel.clock import SystemClock
from lepton_ai.kernel.object_stores import ObjectStores
from lepton_ai.object_store.opening import OpenStore
from lepton_ai.types.bucket import StoreTarget

SECONDS_MAX = 60
# Puts parts until it is killed; tells after each, so that the test can choose the moment.
ENDLESS = """
import sys
from lepton_ai.object_store.opening import OpenStore
from lepton_ai.types.bucket import StoreTarget

def parts():
    while True:
        yield memoryview(bytearray(8 * 1024 * 1024))
        print("part", flush=True)

OpenStore(StoreTarget.model_validate_json(sys.stdin.readline())).put("object", parts())
"""


@pytest.fixture(params=["local", "seaweedfs"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreTarget]:
    makers: dict[str, Callable[[], ObjectStores]] = {
        "local": lambda: LocalStores(tmp_path / "objects"),
        "seaweedfs": lambda: SeaweedStores(tmp_path / "seaweedfs", tmp_path, SystemClock()),
    }
    stores = makers[request.param]()
    yield stores.target("project-1", "bucket-1", may_write=True)
    stores.stop()


def put_and_be_killed(target: StoreTarget, after_parts: int) -> None:
    """Run a client that never comes to the end of its put, and kill it after so many parts."""
    client = subprocess.Popen([sys.executable, "-c", ENDLESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert client.stdin
    assert client.stdout
    client.stdin.write(f"{target.model_dump_json()}\n")
    client.stdin.flush()
    for _ in range(after_parts):
        assert client.stdout.readline() == "part\n"
    client.kill()
    client.communicate(timeout=SECONDS_MAX)


@pytest.mark.parametrize("after_parts", [1, 6])
def test_the_object_is_as_it_was_and_can_be_put_again(target: StoreTarget, after_parts: int) -> None:
    store = OpenStore(target)
    store.put("object", bytearray(b"as it was"))
    put_and_be_killed(target, after_parts)
    assert bytes(store.get_first("object", 100).content) == b"as it was"
    assert [one.name for one in store.each()] == ["object"]
    store.put("object", bytearray(b"newer"))
    assert bytes(store.get_first("object", 100).content) == b"newer"
