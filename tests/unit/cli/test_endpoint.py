"""`lepton endpoint`: what it asks of the platform, and what it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.program import ENDPOINTS, printed, rows, run
from tests.unit.sdk.fake_platform import URL, FakePlatform, endpoint, labelled, ok, page, stream

ONE = f"{ENDPOINTS}/endpoint-1"
NOTHING = ("--workdir", "none")


def becoming(platform: FakePlatform, *states: str) -> FakePlatform:
    """Let a new endpoint go through `states`, each with a sentence of its own."""
    seen = [endpoint(state, reason={"sentence": f"it is {state}"}) for state in states]
    platform.on("POST", ENDPOINTS, ok(seen[0], 201)).on("GET", f"{ENDPOINTS}/watch", stream(": ping\n\n"))
    return platform.on("GET", ONE, *map(ok, seen))


def test_creating_waits_and_says_why_then_prints_the_url_and_a_curl_line(platform: FakePlatform) -> None:
    becoming(platform, "starting", "starting", "ready")
    result = run(platform, "endpoint", "create", "digits", *NOTHING, "--app", "digits:Digits")
    assert result.exit_code == 0
    assert result.stdout == f"Endpoint digits is ready: {URL}/endpoints/default/digits/\n"
    assert result.stderr.startswith("Endpoint digits is starting: it is starting\nTry it: curl ")


def test_an_endpoint_that_fails_is_refused_with_its_reason(platform: FakePlatform) -> None:
    becoming(platform, "starting", "failed")
    result = run(platform, "endpoint", "create", "digits", *NOTHING, "--app", "digits:Digits")
    assert result.exit_code == 1
    assert "it is failed" in result.stderr


def test_without_waiting_it_is_printed_as_it_is(platform: FakePlatform) -> None:
    becoming(platform, "starting")
    result = run(platform, "endpoint", "create", "digits", *NOTHING, "--app", "a:B", "--no-wait", "-o", "json")
    assert printed(result)["status"]["state"] == "starting"
    assert len(platform.requests) == 1


def test_what_is_said_reaches_the_spec(platform: FakePlatform) -> None:
    becoming(platform, "ready")
    words = "--replicas 2 --idle-timeout 10m --cpu 2 --memory 1GB --env A=b --requirement numpy"
    run(platform, "endpoint", "create", "digits", *NOTHING, *words.split(), "--", "sh", "-c", "serve $PORT")
    spec = platform.bodies("POST", ENDPOINTS)[0]["spec"]
    assert spec["command"] == ["sh", "-c", "serve $PORT"]
    assert (spec["replicas"], spec["idle_timeout"], spec["env"]) == (2, 600.0, {"A": "b"})
    assert (spec["resources"]["cpu"], spec["requirements"]) == (2, ["numpy"])


def test_a_model_travels_alone(platform: FakePlatform, tmp_path: Path) -> None:
    (tmp_path / "digits.onnx").write_bytes(b"model")
    (tmp_path / "private.txt").write_text("stays at home")
    becoming(platform, "ready")
    run(platform, "endpoint", "create", "digits", "--model", str(tmp_path / "digits.onnx"))
    spec = platform.bodies("POST", ENDPOINTS)[0]["spec"]
    assert spec["model"] == "digits.onnx"
    assert b"stays at home" not in platform.blobs[spec["bundle"]]


@pytest.mark.parametrize("words", [[], ["--app", "a:B", "--model", "m.onnx"], ["--app", "a:B", "--", "serve"]])
def test_exactly_one_thing_is_served(platform: FakePlatform, words: list[str]) -> None:
    assert run(platform, "endpoint", "create", "digits", *words).exit_code == 2


def test_the_table_shows_state_replicas_and_address(platform: FakePlatform) -> None:
    ready = labelled(endpoint("ready", ready_replicas=1, wanted_replicas=2), name="d")
    platform.on("GET", ENDPOINTS, page(ready))
    head, line = rows(run(platform, "endpoint", "list"))
    assert head == ["NAME", "STATE", "READY", "AGE", "URL"]
    assert (line[:3], line[-1]) == (["d", "ready", "1/2"], f"{URL}/endpoints/default/d/")


def test_one_endpoint_shows_what_it_serves(platform: FakePlatform) -> None:
    platform.on("GET", f"{ENDPOINTS}/digits", ok(endpoint(wanted_replicas=2, ready_replicas=1)))
    shown = run(platform, "endpoint", "get", "digits").stdout
    assert "digits:Digits" in shown
    assert "1 ready of 2" in shown


def test_scaling_changes_the_replicas_alone(platform: FakePlatform) -> None:
    platform.on("GET", f"{ENDPOINTS}/digits", ok(endpoint())).on("PATCH", ONE, ok(endpoint()))
    assert run(platform, "endpoint", "scale", "digits", "3").exit_code == 0
    assert platform.bodies("PATCH", ONE) == [{"spec": {"replicas": 3}}]


def test_updating_sends_what_was_named_and_nothing_else(platform: FakePlatform) -> None:
    platform.on("GET", f"{ENDPOINTS}/digits", ok(endpoint())).on("PATCH", ONE, ok(endpoint()))
    assert run(platform, "endpoint", "update", "digits", "--env", "A=b", "--replicas", "0").exit_code == 0
    assert platform.bodies("PATCH", ONE) == [{"spec": {"env": {"A": "b"}, "replicas": 0}}]


def test_updating_nothing_is_a_wrong_usage(platform: FakePlatform) -> None:
    assert run(platform, "endpoint", "update", "digits").exit_code == 2


def test_deleting_prints_the_object_that_goes(platform: FakePlatform) -> None:
    platform.on("DELETE", f"{ENDPOINTS}/digits", ok(endpoint("stopping"), 202))
    assert run(platform, "endpoint", "delete", "digits").stdout == "Endpoint digits is being deleted.\n"
    assert printed(run(platform, "endpoint", "delete", "digits", "-o", "json"))["status"]["state"] == "stopping"
