"""`lepton job`: what it asks of the platform, and what it prints."""

from __future__ import annotations

from tests.unit.cli.program import JOBS, printed, rows, run
from tests.unit.sdk.fake_platform import FakePlatform, job, labelled, ok, page, problem

REASON = {"code": "no_room", "sentence": "needs 64 CPUs on one node; the largest has 2"}
TIMES = {"submitted_at": "2026-01-02T03:04:05.000006Z", "started_at": "2026-01-02T03:04:06.000006Z"}


def test_the_table_has_the_order_of_the_api_which_is_newest_first(platform: FakePlatform) -> None:
    platform.on("GET", JOBS, page(labelled(job("running"), name="late"), labelled(job("failed"), name="early")))
    table = rows(run(platform, "job", "list"))
    assert table[0] == ["NAME", "STATE", "EXIT", "TOOK", "AGE", "WHAT"]
    assert [line[:2] for line in table[1:]] == [["late", "running"], ["early", "failed"]]


def test_a_waiting_job_shows_why_it_waits_and_a_running_one_what_it_runs(platform: FakePlatform) -> None:
    platform.on("GET", JOBS, page(job("queued", reason=REASON), job("running", reason=REASON)))
    shown = " ".join(run(platform, "job", "list").stdout.split())
    assert shown.count("needs 64 CPUs") == 1
    assert shown.endswith("true")


def test_the_table_fits_80_columns_without_losing_a_letter_of_a_name(platform: FakePlatform) -> None:
    name = "a" * 63
    platform.on("GET", JOBS, page(labelled(job("queued", reason={"sentence": "word " * 100}), name=name)))
    shown = run(platform, "job", "list").stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.count("a") == 63


def test_the_table_is_plain_where_there_is_no_terminal(platform: FakePlatform) -> None:
    platform.on("GET", JOBS, page(job("failed")))
    assert "\x1b" not in run(platform, "job", "list").output


def test_an_empty_list_says_on_stderr_how_to_begin(platform: FakePlatform) -> None:
    platform.on("GET", JOBS, page())
    result = run(platform, "job", "list")
    assert result.stdout == ""
    assert "lepton run" in result.stderr


def test_json_is_the_objects_of_the_api(platform: FakePlatform) -> None:
    platform.on("GET", JOBS, page(job("running", **TIMES)))
    (shown,) = printed(run(platform, "job", "list", "--output", "json"))
    assert shown["metadata"]["name"] == "train"
    assert shown["spec"]["command"] == ["true"]
    assert shown["status"]["state"] == "running"
    assert shown["status"]["submitted_at"] == "2026-01-02T03:04:05.000006Z"


def test_an_empty_list_is_an_empty_json_array(platform: FakePlatform) -> None:
    platform.on("GET", JOBS, page())
    assert printed(run(platform, "job", "list", "-o", "json")) == []


def test_the_limit_is_asked_of_the_api(platform: FakePlatform) -> None:
    platform.on("GET", JOBS, page())
    run(platform, "job", "list", "--limit", "7")
    assert platform.requests[0].url.params["limit"] == "7"


def test_one_job_shows_how_it_ended_and_which_limits_held(platform: FakePlatform) -> None:
    status = {"exit_code": 137, "exit_kind": "out_of_memory", "limits": "cgroup-v1: memory", **TIMES}
    platform.on("GET", f"{JOBS}/train", ok(job("failed", **status, peak_memory_bytes=2_000_000)))
    shown = run(platform, "job", "get", "train").stdout
    assert "Exit code:   137 (out_of_memory)" in shown
    assert "Limits:      cgroup-v1: memory" in shown
    assert "Peak memory: 2.0 MB" in shown


def test_stopping_says_what_became_of_the_job(platform: FakePlatform) -> None:
    platform.on("POST", f"{JOBS}/train/stop", ok(job("stopping"), 202))
    assert run(platform, "job", "stop", "train").stdout == "Job train is being stopped.\n"


def test_stopping_a_job_that_ended_is_refused(platform: FakePlatform) -> None:
    platform.on("POST", f"{JOBS}/train/stop", problem(409, "conflict", "It has ended."))
    assert run(platform, "job", "stop", "train").exit_code == 1


def test_deleting_prints_the_object_that_goes(platform: FakePlatform) -> None:
    platform.on("DELETE", f"{JOBS}/train", ok(job("running"), 202))
    assert run(platform, "job", "delete", "train").stdout == "Job train is being deleted.\n"
    assert printed(run(platform, "job", "delete", "train", "-o", "json"))["metadata"]["name"] == "train"


def test_events_of_a_job_are_told_in_sentences(platform: FakePlatform) -> None:
    event = {
        "seq": 3, "at": "2026-01-02T03:04:05Z", "project": "default", "kind": "job", "object_id": "job-1",
        "object_name": "train", "code": "submitted", "sentence": "Submitted by ada.", "actor": "ada",
    }  # fmt: skip
    platform.on("GET", f"{JOBS}/train", ok(job())).on("GET", f"{JOBS}/job-1/events", page(event))
    assert "Submitted by ada." in run(platform, "job", "events", "train").stdout
    assert printed(run(platform, "job", "events", "train", "-o", "json"))[0]["code"] == "submitted"
