"""`lepton logs` and its two longer names."""

from __future__ import annotations

import json

from tests.unit.cli.program import ENDPOINTS, JOBS, run
from tests.unit.sdk.fake_platform import FakePlatform, endpoint, event, job, log, ok, page, stream

END = event("end", {"state": "running"})


def with_log(platform: FakePlatform, *pieces: str) -> FakePlatform:
    platform.on("GET", JOBS, page(job("running"))).on("GET", f"{JOBS}/train", ok(job("running")))
    return platform.on("GET", f"{JOBS}/job-1/logs", stream(*pieces, END))


def test_without_a_name_it_is_the_newest_job(platform: FakePlatform) -> None:
    with_log(platform, log("hello\n"))
    assert run(platform, "logs").stdout == "hello\n"
    assert platform.seen("GET", JOBS)[0].url.params["limit"] == "1"


def test_without_any_job_it_says_how_to_run_one(platform: FakePlatform) -> None:
    platform.on("GET", JOBS, page())
    result = run(platform, "logs")
    assert result.exit_code == 1
    assert "lepton run" in result.stderr


def test_a_job_is_named_in_either_way(platform: FakePlatform) -> None:
    with_log(platform, log("hello\n"))
    assert run(platform, "logs", "train").stdout == run(platform, "job", "logs", "train").stdout == "hello\n"


def test_what_is_asked_reaches_the_api(platform: FakePlatform) -> None:
    with_log(platform)
    run(platform, "logs", "train", "-f", "--rank", "1", "--tail-bytes", "99")
    asked = platform.seen("GET", f"{JOBS}/job-1/logs")[0].url.params
    assert (asked["follow"], asked["rank"], asked["tail_bytes"]) == ("true", "1", "99")


def test_json_is_one_object_a_line(platform: FakePlatform) -> None:
    with_log(platform, log("a\nb\n"))
    lines = [json.loads(line) for line in run(platform, "logs", "-o", "json").stdout.splitlines()]
    assert [(line["text"], line["rank"]) for line in lines] == [("a", 0), ("b", 0)]


def test_one_rank_alone_is_not_marked(platform: FakePlatform) -> None:
    gang = {**job("running"), "spec": {"command": ["true"], "replicas": 2}}
    with_log(platform, log("a\n", rank=1)).on("GET", f"{JOBS}/train", ok(gang))
    assert run(platform, "logs", "train", "--rank", "1").stdout == "a\n"
    assert run(platform, "logs", "train").stdout == "[1] a\n"


def test_lines_of_an_endpoint_are_marked_with_the_number_of_the_replica(platform: FakePlatform) -> None:
    platform.on("GET", f"{ENDPOINTS}/digits", ok(endpoint()))
    platform.on("GET", f"{ENDPOINTS}/endpoint-1/logs", stream(log("a\n"), log("b\n", attempt=2), END))
    assert run(platform, "endpoint", "logs", "digits").stdout == "[1] a\n[2] b\n"
