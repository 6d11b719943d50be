"""`lepton apply`: what it asks of the platform, and what it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.program import ENDPOINTS, JOBS, printed, run
from tests.unit.sdk.fake_platform import FakePlatform, endpoint, job, ok, problem

BOTH = """
kind: job
metadata: {name: train}
spec: {command: [python, train.py]}
---
kind: endpoint
metadata: {name: digits}
spec: {app: "digits:Digits"}
---
"""
# Ten lists, each of ten aliases of the one before: 10^10 values in a few hundred bytes.
LAUGHS = "a0: &a0 x\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 11))


@pytest.fixture
def both(platform: FakePlatform) -> FakePlatform:
    platform.on("PUT", f"{JOBS}/train", ok(job(), 201))
    return platform.on("PUT", f"{ENDPOINTS}/digits", ok(endpoint("starting"), 201))


def test_each_document_of_a_file_is_applied_in_order(both: FakePlatform, tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(BOTH)
    result = run(both, "apply", "-f", str(tmp_path / "all.yaml"))
    assert result.stdout == "job train is queued\nendpoint digits is starting\n"
    assert both.bodies("PUT", f"{JOBS}/train")[0]["spec"] == {"command": ["python", "train.py"]}


def test_standard_input_is_read_and_json_is_the_objects(both: FakePlatform) -> None:
    shown = printed(run(both, "apply", "-f", "-", "-o", "json", stdin=BOTH))
    assert [each["metadata"]["name"] for each in shown] == ["train", "digits"]


def test_a_refusal_names_the_document_and_what_was_done_before(both: FakePlatform) -> None:
    refusal = problem(422, "invalid_input", "spec.resources.cpus: is not a field here")
    both.on("PUT", f"{ENDPOINTS}/digits", refusal)
    result = run(both, "apply", "-f", "-", stdin=BOTH)
    assert result.exit_code == 1
    assert "Document 2 of Standard input: spec.resources.cpus: is not a field here" in result.stderr
    assert "1 before it are applied" in result.stderr


def test_ten_megabytes_are_refused_before_they_are_parsed(platform: FakePlatform) -> None:
    result = run(platform, "apply", "-f", "-", stdin=b"[" * 10_000_000)
    assert result.exit_code == 1
    assert "more than 4,194,304 bytes" in result.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "is not valid YAML"),
        ("!!python/object/apply:os.system [id]", "is not valid YAML"),
        ("[" * 100_000, "nested more than 50 levels"),
        ("&a [*a]", "is not an object"),
        ("spec: &a [*a]", "more than 1,000,000 values"),
        (LAUGHS, "more than 1,000,000 values"),
        ("x: \x00", "is not valid YAML"),
        ("- 1", "Document 1 of Standard input is not an object"),
        ("", "holds 0 documents"),
        ("1: 2", "is not an object"),
        ("kind: pod\nmetadata: {name: a}\nspec: {}", "kind 'pod'"),
    ],
)
def test_what_is_no_object_is_refused_in_words(platform: FakePlatform, text: str, said: str) -> None:
    result = run(platform, "apply", "-f", "-", stdin=text)
    assert result.exit_code == 1
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert not platform.requests


def test_a_file_that_is_not_there_is_named(platform: FakePlatform) -> None:
    assert "/nonexistent.yaml cannot be read" in run(platform, "apply", "-f", "/nonexistent.yaml").stderr
