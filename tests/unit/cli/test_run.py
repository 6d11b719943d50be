"""`lepton run`: what it asks of the platform, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lepton_ai.sdk.bundle import pack
from tests.unit.cli.program import JOBS, printed, run
from tests.unit.sdk.fake_platform import FakePlatform, event, job, log, ok, problem, stream

ONE = f"{JOBS}/job-1"
HERE = ("--workdir", "none")


def script(platform: FakePlatform, ended: dict[str, Any], *pieces: str) -> FakePlatform:
    """Let the platform take a job that has ended by the time that it is looked at; `pieces` are its log."""
    end = event("end", {"state": ended["status"]["state"]})
    platform.on("POST", JOBS, ok({**ended, "status": {"state": "queued"}}, 201))
    platform.on("GET", f"{JOBS}/watch", stream(": ping\n\n"))
    platform.on("GET", ONE, ok(ended))
    return platform.on("GET", f"{ONE}/logs", stream(*pieces, end))


def bundle_of(folder: Path) -> tuple[str, bytes]:
    with pack(folder, bytes_max=10**9) as bundle:
        return bundle.digest, b"".join(bundle.chunks())


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The present folder, with a program in it; the home folder is elsewhere."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "train.py").write_text("print(1)")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_the_log_goes_to_stdout_as_it_was_written_and_the_exit_code_is_the_jobs(platform: FakePlatform) -> None:
    script(platform, job("succeeded", exit_code=0), log("50%\r"), log("100%\nno line end"))
    result = run(platform, "run", *HERE, "--", "true")
    assert result.exit_code == 0
    assert result.stdout_bytes == b"50%\r100%\nno line end"


def test_a_job_that_fails_gives_its_own_exit_code_and_the_reason_on_stderr(platform: FakePlatform) -> None:
    script(platform, job("failed", exit_code=7, reason={"sentence": "The command ended with exit code 7."}))
    result = run(platform, "run", *HERE, "--", "true")
    assert result.exit_code == 7
    assert result.stderr == "Job train failed: The command ended with exit code 7.\n"


@pytest.mark.parametrize("code", [None, 0, -1])
def test_a_job_that_did_not_succeed_never_exits_with_0(platform: FakePlatform, code: int | None) -> None:
    script(platform, job("stopped", exit_code=code))
    assert run(platform, "run", *HERE, "--", "true").exit_code == 1


def test_lines_of_a_gang_are_marked_with_their_rank(platform: FakePlatform) -> None:
    ended = {**job("succeeded", exit_code=0), "spec": {"command": ["true"], "replicas": 2}}
    script(platform, ended, log("a\n", rank=0), log("b\nc\n", rank=1))
    assert run(platform, "run", *HERE, "--replicas", "2", "--", "true").stdout == "[0] a\n[1] b\n[1] c\n"


def test_lines_of_an_array_are_marked_with_their_index(platform: FakePlatform) -> None:
    ended = {**job("succeeded", exit_code=0), "spec": {"command": ["true"], "array": 3}}
    script(platform, ended, log("a\n", index=2))
    assert run(platform, "run", *HERE, "--array", "3", "--", "true").stdout == "[2] a\n"


def test_a_lost_part_of_the_log_is_told_of(platform: FakePlatform) -> None:
    script(platform, job("succeeded", exit_code=0), log("rest\n", truncated_bytes=1234))
    assert "1,234 bytes" in run(platform, "run", *HERE, "--", "true").stderr


def test_a_second_attempt_is_told_of_between_the_logs(platform: FakePlatform) -> None:
    script(platform, job("succeeded", exit_code=0), log("one"), log("two\n", attempt=2))
    result = run(platform, "run", *HERE, "--", "true")
    assert result.stdout == "one\ntwo\n"
    assert "Attempt 2:" in result.stderr


def test_a_waiting_job_says_why_on_stderr_once(platform: FakePlatform) -> None:
    waits = job("queued", reason={"sentence": "needs 64 CPUs"})
    script(platform, job("succeeded", exit_code=0))
    platform.on("POST", JOBS, ok(waits, 201)).on("GET", ONE, ok(waits), ok(waits), ok(job("succeeded", exit_code=0)))
    result = run(platform, "run", *HERE, "--", "true")
    assert result.stderr == "Job train is queued: needs 64 CPUs\n"


def test_detached_prints_the_name_and_nothing_else(platform: FakePlatform) -> None:
    platform.on("POST", JOBS, ok(job(), 201))
    result = run(platform, "run", *HERE, "--detach", "--", "true")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "train\n", "")


def test_detached_json_is_the_job(platform: FakePlatform) -> None:
    platform.on("POST", JOBS, ok(job(), 201))
    assert printed(run(platform, "run", *HERE, "--detach", "-o", "json", "--", "true"))["status"]["state"] == "queued"


def test_json_without_detaching_is_the_ended_job_alone_on_stdout(platform: FakePlatform) -> None:
    script(platform, job("succeeded", exit_code=0), log("hello\n"))
    result = run(platform, "run", *HERE, "-o", "json", "--", "true")
    assert printed(result)["status"]["exit_code"] == 0
    assert result.stderr == "hello\n"


def test_words_after_the_command_are_the_commands_own(platform: FakePlatform) -> None:
    platform.on("POST", JOBS, ok(job(), 201))
    run(platform, "run", *HERE, "-d", "python", "train.py", "--epochs", "5", "-o", "json")
    (body,) = platform.bodies("POST", JOBS)
    assert body["spec"]["command"] == ["python", "train.py", "--epochs", "5", "-o", "json"]


def test_every_option_reaches_the_spec(platform: FakePlatform, tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("# ours\nnumpy>=2  # newest\n\n--extra-index-url x\n")
    platform.on("POST", JOBS, ok(job(), 201))
    words = (
        "--name train --replicas 2 --array 3 --cpu 0.5 --memory 2GB --gpu 24GB..80GB:2 --env A=b=c --secret T=hub "
        f"--requirement torch --requirements {tmp_path / 'r.txt'} --priority 9 --timeout 1h30m --after prepare "
        "--retries 2 --expected-duration 90 --preemptible 2m"
    )
    assert run(platform, "run", *HERE, "-d", *words.split(), "--", "x").exit_code == 0
    (body,) = platform.bodies("POST", JOBS)
    spec = body["spec"]
    assert body["metadata"]["name"] == "train"
    assert (spec["replicas"], spec["array"], spec["priority"], spec["after"]) == (2, 3, 9, ["prepare"])
    assert (spec["env"], spec["secrets"]) == ({"A": "b=c"}, {"T": "hub"})
    assert spec["requirements"] == ["torch", "numpy>=2", "--extra-index-url x"]
    assert (spec["timeout"], spec["expected_duration"], spec["retries"]["failed"]) == (5400.0, 90.0, 2)
    assert spec["preemptible"] == {"resumes": True, "restart": 120.0}
    assert (spec["resources"]["cpu"], spec["resources"]["memory"]) == (0.5, 2 * 10**9)
    assert spec["resources"]["accelerator"]["count"] == 2


@pytest.mark.parametrize(
    "words", [["--env", "A"], ["--env", "=b"], ["--gpu", "1", "--accelerator", "tpu:1"], ["--preemptible", "never"]]
)
def test_wrong_usage_is_told_before_anything_is_sent(platform: FakePlatform, words: list[str]) -> None:
    assert run(platform, "run", *HERE, *words, "--", "x").exit_code == 2
    assert not platform.requests


def test_a_gang_over_nodes_has_as_many_replicas_as_both_numbers_say(platform: FakePlatform) -> None:
    platform.on("POST", JOBS, ok(job(), 201))
    assert run(platform, "run", *HERE, "-d", "--nodes", "2", "--replicas-per-node", "3", "--", "x").exit_code == 0
    (body,) = platform.bodies("POST", JOBS)
    spec = body["spec"]
    assert (spec["nodes"], spec["replicas_per_node"], spec["replicas"]) == (2, 3, 6)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--replicas-per-node 2", "replicas_per_node is 2, but nothing says on how many nodes"),
        ("--nodes 2 --replicas-per-node 2 --replicas 3", "nodes x replicas_per_node is 2 x 2 = 4, but replicas is 3"),
        ("--nodes 4096 --replicas-per-node 2", "replicas: Input should be less than or equal to 4096"),
    ],
)
def test_numbers_of_a_gang_that_contradict_one_another_are_refused(
    platform: FakePlatform, words: str, told: str
) -> None:
    result = run(platform, "run", *HERE, "-d", *words.split(), "--", "x")
    assert (result.exit_code, platform.bodies("POST", JOBS)) == (1, [])
    assert told in result.stderr


def test_a_wrong_due_moment_names_both_forms(platform: FakePlatform) -> None:
    result = run(platform, "run", *HERE, "--due", "yesterday", "--", "x")
    assert result.exit_code == 1
    assert "30s, 5m or 1h30m, or a moment: 2026-05-01T18:00Z" in result.output


def test_a_wrong_amount_is_refused_before_the_folder_is_uploaded(platform: FakePlatform, work: Path) -> None:
    result = run(platform, "run", "--memory", "lots", "--", "x")
    assert result.exit_code == 1
    assert "'lots' is not an amount of bytes" in result.stderr
    assert not platform.requests


def test_the_present_folder_travels_along(platform: FakePlatform, work: Path) -> None:
    digest, content = bundle_of(work)
    platform.on("POST", JOBS, ok(job(), 201))
    assert run(platform, "run", "-d", "--", "x").exit_code == 0
    assert platform.blobs == {digest: content}
    assert platform.bodies("POST", JOBS)[0]["spec"]["bundle"] == digest


def test_a_folder_that_is_there_already_is_not_sent_again(platform: FakePlatform, work: Path) -> None:
    digest, content = bundle_of(work)
    platform.blobs[digest] = content
    platform.on("POST", JOBS, ok(job(), 201))
    assert run(platform, "run", "-d", "--", "x").exit_code == 0
    assert [request.method for request in platform.requests] == ["HEAD", "POST"]


@pytest.mark.parametrize("folder", ["home", "/"])
def test_the_home_folder_is_not_uploaded_unless_it_is_named(
    platform: FakePlatform, work: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.chdir(work.parent / folder)
    platform.on("POST", JOBS, ok(job(), 201))
    result = run(platform, "run", "-d", "--", "x")
    assert result.exit_code == 0
    assert "is not uploaded" in result.stderr
    assert "bundle" not in platform.bodies("POST", JOBS)[0]["spec"]


def test_the_home_folder_is_uploaded_if_it_is_named(platform: FakePlatform, work: Path) -> None:
    home = work.parent / "home"
    platform.on("POST", JOBS, ok(job(), 201))
    assert run(platform, "run", "-d", "--workdir", str(home), "--", "x").exit_code == 0
    assert set(platform.blobs) == {bundle_of(home)[0]}


def test_a_folder_that_is_none_is_refused(platform: FakePlatform) -> None:
    result = run(platform, "run", "--workdir", "/nonexistent", "--", "x")
    assert result.exit_code == 1
    assert "/nonexistent is not a folder." in result.stderr


def test_a_log_that_breaks_off_for_good_says_that_the_job_goes_on(platform: FakePlatform) -> None:
    script(platform, job("running"))
    platform.on("GET", f"{ONE}/logs", problem(403, "forbidden", "You may not."))
    result = run(platform, "run", *HERE, "--", "true")
    assert result.exit_code == 1
    assert "lepton logs -f train" in result.stderr


def test_ctrl_c_stops_the_job_and_says_how_to_leave_the_next_one_running(platform: FakePlatform) -> None:
    script(platform, job("running"))
    platform.on("GET", f"{ONE}/logs", interrupt).on("POST", f"{ONE}/stop", ok(job("stopping"), 202))
    platform.on("GET", ONE, ok(job("running")), ok(job("stopped")))
    result = run(platform, "run", *HERE, "--", "true")
    assert result.exit_code == 130
    assert "--detach" in result.stderr
    assert "Job train is stopped." in result.stderr


def test_ctrl_c_just_after_the_end_is_no_error(platform: FakePlatform) -> None:
    script(platform, job("running"))
    platform.on("GET", f"{ONE}/logs", interrupt).on("POST", f"{ONE}/stop", problem(409, "conflict", "It has ended."))
    platform.on("GET", ONE, ok(job("running")), ok(job("succeeded")))
    result = run(platform, "run", *HERE, "--", "true")
    assert result.exit_code == 130
    assert "Job train is succeeded." in result.stderr


def interrupt(_: object) -> Any:
    raise KeyboardInterrupt


def test_json_problems_are_printed_for_refused_jobs(platform: FakePlatform) -> None:
    platform.on("POST", JOBS, problem(409, "conflict", "A live job is named 'train'."))
    result = run(platform, "run", *HERE, "-d", "-o", "json", "--name", "train", "--", "x")
    assert json.loads(result.stderr)["code"] == "conflict"
