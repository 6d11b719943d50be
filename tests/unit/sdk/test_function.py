"""Functions that are decorated to run on the platform."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import httpx
import pytest

from lepton_ai.errors import InvalidInput, TooLarge
from lepton_ai.sdk.function import MAP_MAX
from lepton_ai.sdk.function_call import pack_call
from tests.unit.sdk.fake_platform import PROJECT, TOKEN, FakePlatform, job, labelled, plain

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
JOBS = f"{PROJECT}/jobs"


class RunningPlatform(FakePlatform):
    """Runs each submitted call at once, and keeps its value as the job's result."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs = 0
        self.on("POST", JOBS, lambda request: httpx.Response(201, json=self._run(json.loads(request.content))))
        self.on("POST", f"{JOBS}:batch", self._run_all)

    def _run_all(self, request: httpx.Request) -> httpx.Response:
        items = json.loads(request.content)["items"]
        return httpx.Response(201, json={"items": [self._run(item) for item in items], "next": ""})

    def _run(self, draft: dict[str, Any]) -> dict[str, Any]:
        spec = draft["spec"]
        function, args, kwargs = pickle.loads(self.blobs[spec["function"]].partition(b"\n")[2])
        value = pickle.dumps(("value", PYTHON, cloudpickle.dumps(function(*args, **kwargs))))
        self.jobs += 1
        made = labelled(job("succeeded"), id=f"job-{self.jobs}")
        self.on("GET", f"{JOBS}/job-{self.jobs}/result", plain(200, value))
        return {**made, "spec": spec}


@pytest.fixture
def platform() -> RunningPlatform:
    return RunningPlatform()


def test_a_plain_call_stays_here(platform: RunningPlatform) -> None:
    @platform.client.function
    def add(left: int, right: int) -> int:
        "Adds."
        return left + right

    assert (add(1, 2), add.__name__, add.__doc__) == (3, "add", "Adds.")
    assert platform.requests == []


def test_a_remote_call_returns_the_value(platform: RunningPlatform) -> None:
    @platform.client.function(resources={"cpu": 4}, requirements=["numpy"])
    def add(left: int, right: int = 10) -> int:
        return left + right

    assert add.remote(1) == 11
    spec = platform.bodies("POST", JOBS)[0]["spec"]
    assert (spec["resources"], spec["requirements"]) == ({"cpu": 4.0}, ["numpy"])
    assert platform.bodies("POST", JOBS)[0]["metadata"]["labels"]["function"].endswith("add")


def test_a_submitted_call_is_a_job(platform: RunningPlatform) -> None:
    handle = platform.client.function(str.upper).submit("abc")
    assert (handle.state, handle.result()) == ("succeeded", "ABC")


def test_a_map_gives_the_results_in_order(platform: RunningPlatform) -> None:
    assert list(platform.client.function(abs).map([-1, 2, -3])) == [1, 2, 3]
    assert platform.jobs == 3


def test_a_map_packs_its_folder_once(platform: RunningPlatform, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    assert list(platform.client.function(workdir=tmp_path)(abs).map([-1, -2])) == [1, 2]
    (batch,) = platform.bodies("POST", f"{JOBS}:batch")
    bundles = {item["spec"]["bundle"] for item in batch["items"]}
    assert sum(request.url.path.endswith(next(iter(bundles))) for request in platform.requests) == 2  # HEAD and PUT


def test_a_map_of_too_much_is_refused_before_anything_is_sent(platform: RunningPlatform) -> None:
    with pytest.raises(TooLarge, match="10,001"):
        platform.client.function(abs).map(range(MAP_MAX + 1))
    assert platform.requests == []


def test_a_function_that_mentions_a_decorated_one_takes_no_client_along(platform: RunningPlatform) -> None:
    @platform.client.function
    def fall(depth: int) -> int:
        return depth and fall(depth - 1)

    assert fall.remote(3) == 0
    assert not any(TOKEN.encode() in content for content in platform.blobs.values())


def test_a_function_that_holds_a_client_is_refused(platform: RunningPlatform) -> None:
    client = platform.client

    def holds() -> str:
        return client.status().url

    with pytest.raises(InvalidInput, match="holds a token"):
        pack_call(holds, (), {})


def test_an_unknown_option_is_refused_where_it_is_written(platform: RunningPlatform) -> None:
    with pytest.raises(InvalidInput, match="'cpu'"):
        platform.client.function(cpu=3)  # type: ignore[call-overload]
