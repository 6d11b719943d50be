"""Jobs as the SDK's user sees them."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import httpx
import pytest

from lepton_ai.errors import Conflict, InvalidInput, JobFailed, NotFound, TimedOut
from lepton_ai.sdk.collection import BATCH_MAX
from lepton_ai.sdk.job_handle import JobHandle
from lepton_ai.sdk.task_request import TaskRequest
from tests.unit.sdk.fake_platform import (
    PROJECT,
    FakePlatform,
    event,
    failing,
    function_job,
    job,
    log,
    ok,
    page,
    plain,
    problem,
    stream,
)

JOBS = f"{PROJECT}/jobs"
ONE = f"{JOBS}/job-1"
WATCH = f"{JOBS}/watch"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
EMPTY = stream()


@pytest.fixture
def platform() -> FakePlatform:
    return FakePlatform().on("POST", JOBS, ok(job(), 201)).on("GET", ONE, ok(job("running")))


def created(platform: FakePlatform) -> JobHandle:
    return platform.client.jobs.create(["true"])


def put(state: str, cursor: str = "1", **status: object) -> str:
    return event("put", job(state, **status), cursor)


def test_a_job_is_sent_with_what_differs_from_the_defaults(platform: FakePlatform) -> None:
    handle = platform.client.jobs.create("python train.py", name="train", replicas=2, labels={"team": "a"})
    assert platform.bodies("POST", JOBS) == [
        {
            "metadata": {"labels": {"team": "a"}, "name": "train"},
            "spec": {"command": ["python", "train.py"], "replicas": 2},
        }
    ]
    assert (handle.name, handle.id, handle.state) == ("train", "job-1", "queued")


def test_each_create_has_a_key_of_its_own(platform: FakePlatform) -> None:
    created(platform)
    created(platform)
    first, second = (request.headers["idempotency-key"] for request in platform.seen("POST", JOBS))
    assert first != second
    assert min(len(first), len(second)) >= 24


def test_an_option_that_there_is_not_is_refused_with_those_that_there_are(platform: FakePlatform) -> None:
    with pytest.raises(InvalidInput, match="'cpus'") as refusal:
        platform.client.jobs.create("true", cpus=1)  # type: ignore[call-arg]
    assert "resources" in refusal.value.hint
    assert platform.requests == []


def test_a_working_directory_is_uploaded_once(platform: FakePlatform, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print(1)\n")
    for _ in range(2):
        platform.client.jobs.create("python train.py", workdir=tmp_path)
    (digest,) = platform.blobs
    assert [request.method for request in platform.requests if "/blobs/" in request.url.path] == ["HEAD", "PUT", "HEAD"]
    assert [body["spec"]["bundle"] for body in platform.bodies("POST", JOBS)] == [digest] * 2


def test_many_jobs_are_sent_together_and_come_back_in_order(platform: FakePlatform) -> None:
    count = BATCH_MAX + 1
    made = [job() | {"metadata": {"id": f"job-{number}", "name": "train"}} for number in range(count)]
    first, last = made[:BATCH_MAX], made[BATCH_MAX:]
    platform.on("POST", f"{JOBS}:batch", page(*first), page(*last))
    handles = platform.client.jobs.create_many(TaskRequest(["echo", str(number)]) for number in range(count))
    bodies = platform.bodies("POST", f"{JOBS}:batch")
    words = [item["spec"]["command"][1] for body in bodies for item in body["items"]]
    assert [len(body["items"]) for body in bodies] == [BATCH_MAX, 1]
    assert words == [handle.id.removeprefix("job-") for handle in handles] == [str(n) for n in range(count)]
    keys = [request.headers["idempotency-key"] for request in platform.seen("POST", f"{JOBS}:batch")]
    assert len(set(keys)) == 2


def test_many_jobs_of_one_folder_upload_it_once(platform: FakePlatform, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print(1)\n")
    platform.on("POST", f"{JOBS}:batch", page(job(), job()))
    platform.client.jobs.create_many([TaskRequest("python train.py", workdir=tmp_path)] * 2)
    assert [request.method for request in platform.requests if "/blobs/" in request.url.path] == ["HEAD", "PUT"]


def test_of_many_jobs_nothing_is_sent_if_one_is_wrong(platform: FakePlatform) -> None:
    with pytest.raises(InvalidInput):
        platform.client.jobs.create_many([TaskRequest(["true"]), TaskRequest()])
    assert platform.requests == []


def test_waiting_ends_with_the_watch_and_not_by_polling(platform: FakePlatform) -> None:
    other = event("put", {**job("failed"), "metadata": {"id": "job-2", "name": "other"}}, "1")
    platform.on("GET", WATCH, stream(other, put("running", "2"), put("succeeded", "3", exit_code=0)))
    handle = created(platform).wait()
    assert (handle.state, handle.status.exit_code) == ("succeeded", 0)
    assert len(platform.seen("GET", ONE)) == 2  # before the watch, and once it was open


def test_an_end_that_came_before_the_watch_is_not_missed(platform: FakePlatform) -> None:
    platform.on("GET", WATCH, stream(": ping\n\n")).on("GET", ONE, ok(job("running")), ok(job("failed")))
    assert created(platform).wait().state == "failed"
    assert len(platform.seen("GET", ONE)) == 2


def test_an_end_that_came_before_the_wait_needs_no_watch(platform: FakePlatform) -> None:
    assert created(platform.on("GET", ONE, ok(job("failed")))).wait().state == "failed"
    assert platform.seen("GET", WATCH) == []


def test_a_ping_is_a_reason_to_look_again(platform: FakePlatform) -> None:
    platform.on("GET", WATCH, stream(": ping\n\n")).on("GET", ONE, *[ok(job("running"))] * 2, ok(job("stopped")))
    assert created(platform).wait().state == "stopped"
    assert len(platform.seen("GET", WATCH)) == 1


def test_waiting_survives_a_restart_of_the_core(platform: FakePlatform) -> None:
    platform.on(
        "GET",
        WATCH,
        stream(put("running", "4"), breaks=True),
        failing(httpx.ConnectError("refused")),
        plain(503),
        stream(put("succeeded", "5")),
    )
    assert created(platform).wait().state == "succeeded"
    assert platform.seen("GET", WATCH)[-1].url.params["since"] == "4"


def test_a_job_that_has_ended_is_not_asked_about(platform: FakePlatform) -> None:
    handle = platform.on("POST", JOBS, ok(job("succeeded"))).client.jobs.create("true")
    assert handle.wait().state == "succeeded"
    assert len(platform.requests) == 1


def test_a_bounded_wait_says_where_the_job_stands(platform: FakePlatform) -> None:
    platform.on("GET", WATCH, EMPTY)
    platform.on("GET", ONE, ok(job("queued", reason={"code": "busy", "sentence": "All 8 CPUs are held."})))
    with pytest.raises(TimedOut, match=r"queued after 10ms\. All 8 CPUs are held\."):
        created(platform).wait("10ms")


def test_a_job_that_is_deleted_meanwhile_ends_the_wait(platform: FakePlatform) -> None:
    platform.on("GET", WATCH, stream(event("delete", job("stopping"), "9")))
    with pytest.raises(NotFound, match="was deleted"):
        created(platform).wait()


def test_a_failure_is_raised_with_its_reason_and_the_last_lines(platform: FakePlatform) -> None:
    reason = {"code": "failed", "sentence": "It ended with exit code 3."}
    platform.on("GET", WATCH, stream(put("failed", reason=reason, exit_code=3)))
    lines = "".join(f"line {number}\n" for number in range(30))
    platform.on("GET", f"{ONE}/logs", stream(log(lines, "1"), event("end", {"state": "failed"})))
    with pytest.raises(JobFailed) as failure:
        created(platform).wait(raise_on_failure=True)
    assert failure.value.message.startswith("The job 'train' failed: It ended with exit code 3.\n\nline 10\n")
    assert failure.value.message.endswith("line 29\n")


def test_the_result_of_a_function_is_its_value(platform: FakePlatform) -> None:
    platform.on("GET", JOBS + "/train", ok(function_job()))
    platform.on("GET", f"{ONE}/result", plain(200, pickle.dumps(("value", PYTHON, pickle.dumps({"loss": 0.5})))))
    assert platform.client.jobs.get("train").result() == {"loss": 0.5}


def test_what_a_function_raised_is_told_with_its_traceback(platform: FakePlatform) -> None:
    summary = {"type": "ValueError", "message": "no data", "traceback": "Traceback: line 7"}
    platform.on("GET", JOBS + "/train", ok(function_job("failed")))
    platform.on("GET", f"{ONE}/result", plain(200, pickle.dumps(("error", PYTHON, summary))))
    with pytest.raises(JobFailed, match=r"(?s)ValueError: no data.*line 7"):
        platform.client.jobs.get("train").result()


def test_a_function_that_left_no_result_failed(platform: FakePlatform) -> None:
    platform.on("GET", JOBS + "/train", ok(function_job("stopped")))
    platform.on("GET", f"{ONE}/result", problem(404, "not_found", "No result."))
    platform.on("GET", f"{ONE}/logs", stream(event("end", {"state": "stopped"})))
    with pytest.raises(JobFailed, match="'train' is stopped"):
        platform.client.jobs.get("train").result()


def test_a_command_has_no_result(platform: FakePlatform) -> None:
    with pytest.raises(InvalidInput, match="runs a command"):
        created(platform).result()


def test_pages_are_joined_by_their_cursor(platform: FakePlatform) -> None:
    platform.on("GET", JOBS, page(job(), following="job-1"), page(job("failed")))
    assert [handle.state for handle in platform.client.jobs.each()] == ["queued", "failed"]
    assert platform.seen("GET", JOBS)[1].url.params["before"] == "job-1"


def test_a_list_has_the_cursor_of_the_next_page(platform: FakePlatform) -> None:
    platform.on("GET", JOBS, page(job(), following="c"))
    listed = platform.client.jobs.list(limit=1)
    assert (len(listed), listed[0].name, listed.next) == (1, "train", "c")


def test_stopping_and_deleting_go_by_id(platform: FakePlatform) -> None:
    platform.on("POST", f"{ONE}/stop", ok(job("stopping"), 202)).on("DELETE", ONE, ok(job("stopping"), 202))
    handle = created(platform)
    assert handle.stop().state == "stopping"
    assert handle.delete().name == "train"


def test_stopping_what_has_ended_is_refused_as_the_platform_says(platform: FakePlatform) -> None:
    platform.on("POST", f"{ONE}/stop", problem(409, "conflict", "It has ended."))
    with pytest.raises(Conflict, match="It has ended"):
        created(platform).stop()


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\nb", "x" * 300])
def test_a_name_that_would_lead_elsewhere_is_refused_here(platform: FakePlatform, name: str) -> None:
    with pytest.raises(InvalidInput, match="not the name or id"):
        platform.client.jobs.get(name)


def test_fields_of_a_newer_core_are_left_out(platform: FakePlatform) -> None:
    newer = {**job("running", mood="good"), "future": 1}
    assert platform.on("GET", ONE, ok(newer)).client.jobs.get("job-1").state == "running"


def test_watching_tells_of_changes_with_their_revision(platform: FakePlatform) -> None:
    platform.on("GET", WATCH, stream(put("running", "4"), event("delete", job("stopped"), "5")))
    changes = platform.client.jobs.watch()
    first, second = next(changes), next(changes)
    assert [(one.kind, one.object.status.state, one.revision) for one in (first, second)] == [
        ("put", "running", "4"),
        ("delete", "stopped", "5"),
    ]
