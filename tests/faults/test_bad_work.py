"""Work that goes wrong: its owner reads why, and neither the core nor anybody else's work suffers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lepton_ai.errors import TooLarge
from tests.faults.rig import ENDPOINTS, JOBS, Json, Platform, problem, wait_for

PROCESSES = 12
LOG_BYTES_MAX = 1_000_000
FLOOD_BYTES = 30_000_000
NO_SUCH = "no-such-thing-anywhere==9.9.9"
BOMB = "f() { f | f & f; }; f"
EAT_MEMORY = "held = [bytearray(10**7) for _ in range(100)]"
APP = """
from lepton_ai.serving.app import handler


class App:
    @handler
    def echo(self, text: str) -> str:
        return text

    @handler
    def fail(self) -> str:
        raise RuntimeError("the cupboard is bare")


class Broken:
    def __init__(self) -> None:
        raise OSError("weights are missing")
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One platform for all jobs here, which must be none the worse for any of them."""
    # No package index is asked: whether one can be reached must not matter here.
    platform = Platform(
        tmp_path_factory.mktemp("f") / "home", log_bytes_max=str(LOG_BYTES_MAX), PIP_NO_INDEX="1", UV_NO_INDEX="1"
    )
    platform.start()
    yield platform
    platform.end()


@pytest.fixture(autouse=True)
def _none_the_worse(shared: Platform) -> Iterator[None]:
    yield
    assert shared.await_job(shared.submit("true"))["status"]["state"] == "succeeded"
    assert "Traceback" not in shared.printed()


def test_an_executable_that_does_not_exist_ends_with_127_and_its_name(shared: Platform) -> None:
    ended = shared.await_job(shared.submit("no-such-program", "--fast"))

    assert (ended["status"]["state"], ended["status"]["exit_code"]) == ("failed", 127)
    assert ended["status"]["exit_kind"] == "not_started"
    assert "no-such-program" in ended["status"]["reason"]["sentence"]


def test_a_requirement_that_cannot_be_installed_is_named(shared: Platform) -> None:
    ended = shared.await_job(shared.submit("true", requirements=[NO_SUCH]))

    assert (ended["status"]["state"], ended["status"]["exit_kind"]) == ("failed", "not_started")
    assert NO_SUCH.partition("=")[0] in ended["status"]["reason"]["sentence"]
    assert not shared.orphans()


@pytest.mark.parametrize("requirement", ["--index-url=http://127.0.0.1:9/", "./here", "not a requirement"])
def test_what_is_no_requirement_is_refused_at_submission(shared: Platform, requirement: str) -> None:
    answer = shared.call("POST", JOBS, {"spec": {"command": ["true"], "requirements": [requirement]}})

    assert requirement.partition("=")[0] in problem(answer, 422)["detail"]


def test_a_job_that_eats_its_memory_ends_as_out_of_memory(shared: Platform) -> None:
    ended = shared.await_job(shared.submit("python", "-S", "-c", EAT_MEMORY, resources={"cpu": 1}))

    assert (ended["status"]["state"], ended["status"]["exit_kind"]) == ("failed", "out_of_memory")
    assert ended["status"]["exit_code"] == 137
    assert "64" in ended["status"]["reason"]["sentence"]


def test_a_fork_bomb_is_held_to_its_number_of_processes(shared: Platform) -> None:
    job = shared.submit("sh", "-c", BOMB, resources={"processes": PROCESSES}, timeout=2, grace=0)
    most = 0

    while shared.get(f"{JOBS}/{job['metadata']['id']}")["status"]["finished_at"] is None:
        most = max(most, len(shared.orphans()))
        time.sleep(0.02)

    assert most <= PROCESSES + 1  # and its supervisor
    assert shared.await_job(job)["status"]["state"] == "failed"
    wait_for(lambda: not shared.orphans() and not shared.groups(), f"{shared.orphans()} to end")


def test_a_flood_of_output_is_kept_to_its_limit_with_its_end(shared: Platform) -> None:
    script = f"yes | head -c {FLOOD_BYTES}; echo; echo the end"

    ended = shared.await_job(shared.submit("sh", "-c", script, resources={"cpu": 1}))

    kept = sum(path.stat().st_size for path in (shared.home / "runtime").glob("*/*/log/*"))
    assert ended["status"]["state"] == "succeeded"
    assert shared.log_of(ended).endswith("the end\n")
    assert LOG_BYTES_MAX / 2 < kept < LOG_BYTES_MAX * 1.5


def test_the_core_answers_while_a_log_is_flooded_and_followed(shared: Platform) -> None:
    job = shared.submit("sh", "-c", "yes", resources={"cpu": 0.5})
    shared.await_job(job, "running")
    reader = threading.Thread(target=follow, args=(shared, job), daemon=True)
    reader.start()

    for _ in range(50):
        assert shared.get("/api/v1/whoami")["user"] == "admin"

    shared.call("POST", f"{JOBS}/{job['metadata']['id']}/stop")
    assert shared.await_job(job)["status"]["state"] == "stopped"
    reader.join(60)
    assert not reader.is_alive()


def test_a_gang_larger_than_the_machine_waits_with_the_reason(shared: Platform) -> None:
    job = shared.submit("sleep", "1000", replicas=500, resources={"cpu": 1})

    wait_for(lambda: "500" in reason(shared, job), "the gang to be told why it waits")
    other = shared.await_job(shared.submit("true"))

    assert other["status"]["state"] == "succeeded"
    assert shared.get(f"{JOBS}/{job['metadata']['id']}")["status"]["state"] == "queued"
    assert not shared.supervisors()
    shared.call("POST", f"{JOBS}/{job['metadata']['id']}/stop")
    assert shared.await_job(job)["status"]["state"] == "stopped"


def test_a_gang_that_lacks_room_for_one_rank_starts_none_until_there_is_room(shared: Platform) -> None:
    cores = shared.get("/api/v1/nodes")["items"][0]["status"]["hardware"]["threads"]
    first = shared.submit("sleep", "2", resources={"cpu": 1})
    shared.await_job(first, "running")
    gang = shared.submit("true", replicas=cores, resources={"cpu": 1})

    wait_for(lambda: reason(shared, gang) not in {"", "Enters the queue."}, "the gang to be told why it waits")
    started = list(shared.supervisors())
    ended = shared.await_job(gang)

    first = shared.await_job(first)
    assert len(started) == 1
    assert ended["status"]["state"] == "succeeded"
    assert ended["status"]["started_at"] >= first["status"]["finished_at"]


def test_a_handler_that_raises_answers_with_a_problem_and_the_endpoint_goes_on(
    shared: Platform, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(APP)
    shared.sdk().endpoints.create("shop", app="shop:App", workdir=tmp_path, resources={"cpu": 0.5})
    wait_for(lambda: state(shared, "shop") == "ready", "the endpoint to be ready")

    refused = shared.call("POST", "/endpoints/default/shop/fail", {})
    answer = shared.call("POST", "/endpoints/default/shop/echo", {"text": "hello"})

    assert problem(refused, 500)["detail"]
    assert 'File "' not in refused.text
    assert answer.json() == "hello"
    assert state(shared, "shop") == "ready"
    assert "the cupboard is bare" in shared.log_of(shared.get(f"{ENDPOINTS}/shop"), ENDPOINTS)
    remove(shared, "shop")


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ({"model": "model.onnx"}, "model.onnx"),
        ({"app": "shop:Broken"}, "weights are missing"),
        ({"app": "shop:Missing"}, "Missing"),
        ({"command": ["no-such-server"]}, "no-such-server"),
    ],
)
def test_an_endpoint_that_cannot_start_fails_with_the_reason(
    shared: Platform, tmp_path: Path, program: Json, said: str
) -> None:
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "model.onnx").write_bytes(b"this is not ONNX")

    shared.sdk().endpoints.create("wrong", workdir=tmp_path, resources={"cpu": 0.5}, **program)
    wait_for(lambda: state(shared, "wrong") == "failed", "the endpoint to fail")

    endpoint = shared.get(f"{ENDPOINTS}/wrong")
    refused = problem(shared.call("GET", "/endpoints/default/wrong/"), 503)
    assert "3 replicas in a row" in endpoint["status"]["reason"]["sentence"]
    assert said in endpoint["status"]["reason"]["sentence"] + shared.log_of(endpoint, ENDPOINTS)
    assert "wrong" in refused["detail"]
    remove(shared, "wrong")


def test_a_working_directory_above_the_limit_is_refused_with_its_largest_files(
    make_platform: Callable[..., Platform], tmp_path: Path
) -> None:
    platform = make_platform(bundle_bytes_max="1000000")
    platform.start()
    (tmp_path / "weights.bin").write_bytes(bytes(range(256)) * 8000)

    with pytest.raises(TooLarge):
        platform.sdk().jobs.create(["true"], workdir=tmp_path)

    assert platform.get(JOBS)["items"] == []


def follow(platform: Platform, job: Json) -> None:
    """Read a log as it grows, to its end."""
    with platform.client() as client:
        path = f"{JOBS}/{job['metadata']['id']}/logs?follow=true&tail_bytes=1000"
        with client.stream("GET", path) as answer:
            for _ in answer.iter_raw():
                pass


def reason(platform: Platform, job: Json) -> str:
    return str(platform.get(f"{JOBS}/{job['metadata']['id']}")["status"]["reason"]["sentence"])


def state(platform: Platform, endpoint: str) -> str:
    return str(platform.get(f"{ENDPOINTS}/{endpoint}")["status"]["state"])


def remove(platform: Platform, endpoint: str) -> None:
    platform.call("DELETE", f"{ENDPOINTS}/{endpoint}")
    wait_for(lambda: platform.call("GET", f"{ENDPOINTS}/{endpoint}").status_code == 404, "the endpoint to be gone")
    wait_for(lambda: not platform.orphans(), "its replicas to be gone")
