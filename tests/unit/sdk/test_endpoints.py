"""Endpoints as the SDK's user sees them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from lepton_ai.errors import InvalidInput, NotFound, Unavailable
from tests.unit.sdk.fake_platform import PROJECT, TOKEN, URL, FakePlatform, endpoint, event, ok, plain, problem, stream

ENDPOINTS = f"{PROJECT}/endpoints"
ONE = f"{ENDPOINTS}/endpoint-1"
CALLED = "/endpoints/default/digits/predict"


@pytest.fixture
def platform() -> FakePlatform:
    platform = FakePlatform().on("POST", ENDPOINTS, ok(endpoint("starting"), 201))
    return platform.on("GET", f"{ENDPOINTS}/digits", ok(endpoint())).on("PATCH", ONE, ok(endpoint()))


def test_an_endpoint_is_sent_with_what_differs_from_the_defaults(platform: FakePlatform) -> None:
    platform.client.endpoints.create("digits", app="digits:Digits", replicas=2, idle_timeout="10m")
    assert platform.bodies("POST", ENDPOINTS) == [
        {
            "metadata": {"name": "digits", "labels": {}},
            "spec": {"app": "digits:Digits", "replicas": 2, "idle_timeout": 600.0},
        }
    ]
    assert platform.requests[0].headers["idempotency-key"]


def test_a_model_without_a_folder_is_uploaded_alone(platform: FakePlatform, tmp_path: Path) -> None:
    (tmp_path / "big.bin").write_bytes(b"x" * 10_000)
    model = tmp_path / "digits.onnx"
    model.write_bytes(b"onnx")
    platform.client.endpoints.create("digits", model=str(model))
    (digest, content), *_ = platform.blobs.items()
    assert platform.bodies("POST", ENDPOINTS)[0]["spec"] == {"model": "digits.onnx", "bundle": digest}
    assert b"digits.onnx" in content
    assert b"big.bin" not in content


@pytest.mark.parametrize(
    "options", [{}, {"app": "a:B", "command": "true"}, {"app": "no colon"}, {"model": "nowhere.onnx"}]
)
def test_a_wrong_endpoint_is_refused_before_anything_is_sent(platform: FakePlatform, options: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        platform.client.endpoints.create("digits", **options)  # type: ignore[arg-type]
    assert platform.requests == []


def test_an_unknown_option_is_refused_with_the_known(platform: FakePlatform) -> None:
    with pytest.raises(InvalidInput, match="'replica'") as refusal:
        platform.client.endpoints.create("digits", app="a:B", replica=1)  # type: ignore[call-arg]
    assert "replicas" in refusal.value.hint


def test_a_call_goes_to_the_instance_itself_whatever_address_the_status_names(platform: FakePlatform) -> None:
    elsewhere = endpoint("ready", url="https://elsewhere.test/")
    platform.on("GET", f"{ENDPOINTS}/digits", ok(elsewhere)).on("POST", CALLED, ok([7]))
    handle = platform.client.endpoints.get("digits")
    assert handle.url == f"{URL}/endpoints/default/digits/"
    assert handle.call(images=[[0.5]], when=timedelta(seconds=2)) == [7]
    request = platform.requests[-1]
    assert json.loads(request.content) == {"images": [[0.5]], "when": 2.0}
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.url.host == "lepton.test"


def test_arrays_are_sent_as_lists(platform: FakePlatform) -> None:
    import numpy as np

    platform.on("POST", CALLED, ok([7]))
    platform.client.endpoints.get("digits").call(images=np.ones((1, 2), dtype=np.float32), scale=np.float64(2))
    assert json.loads(platform.requests[-1].content) == {"images": [[1.0, 1.0]], "scale": 2.0}


def test_what_json_cannot_hold_is_refused(platform: FakePlatform) -> None:
    with pytest.raises(InvalidInput, match="object"):
        platform.client.endpoints.get("digits").call(images=object())


def test_a_refused_call_says_why_and_is_not_repeated(platform: FakePlatform) -> None:
    platform.on("POST", CALLED, problem(422, "invalid_input", "images: is missing"))
    with pytest.raises(InvalidInput, match="is missing"):
        platform.client.endpoints.get("digits").call()
    platform.on("POST", CALLED, plain(503))
    with pytest.raises(Unavailable):
        platform.client.endpoints.get("digits").call()
    assert len(platform.seen("POST", CALLED)) == 2


def test_a_stream_of_lines_or_events_is_yielded_as_it_comes(platform: FakePlatform) -> None:
    lines = httpx.Response(
        200, content=b'{"token":"a"}\n{"token":"b"}\n', headers={"content-type": "application/x-ndjson"}
    )
    events = httpx.Response(200, content=b'data: {"token":"c"}\n\n', headers={"content-type": "text/event-stream"})
    platform.on("POST", "/endpoints/default/digits/generate", lambda _: lines, lambda _: events)
    handle = platform.client.endpoints.get("digits")
    assert list(handle.stream("generate")) == [{"token": "a"}, {"token": "b"}]
    assert list(handle.stream("generate")) == [{"token": "c"}]


@pytest.mark.parametrize("state", ["ready", "asleep"])
def test_waiting_ends_when_it_answers_or_would_wake(platform: FakePlatform, state: str) -> None:
    platform.on("GET", f"{ENDPOINTS}/watch", stream(event("put", endpoint(state), "1")))
    platform.on("GET", ONE, ok(endpoint("starting")))
    handle = platform.client.endpoints.create("digits", app="digits:Digits")
    assert handle.wait_ready(60).state == state


def test_waiting_for_an_endpoint_that_fails_says_why(platform: FakePlatform) -> None:
    failed = endpoint("failed", reason={"code": "x", "sentence": "digits.py has no class Digits."})
    platform.on("GET", f"{ENDPOINTS}/watch", stream(event("put", failed, "1"))).on("GET", ONE, ok(endpoint("starting")))
    handle = platform.client.endpoints.create("digits", app="digits:Digits")
    with pytest.raises(Unavailable, match=r"no class Digits"):
        handle.wait_ready()


def test_an_endpoint_that_is_scaled_to_0_will_not_get_ready(platform: FakePlatform) -> None:
    platform.on("GET", f"{ENDPOINTS}/digits", ok({**endpoint("asleep"), "spec": {"app": "a:B", "replicas": 0}}))
    with pytest.raises(Unavailable, match="scaled to 0"):
        platform.client.endpoints.get("digits").wait_ready()


def test_scaling_changes_the_replicas_alone(platform: FakePlatform) -> None:
    platform.client.endpoints.scale("digits", 3)
    assert platform.bodies("PATCH", ONE) == [{"spec": {"replicas": 3}}]


def test_a_missing_endpoint_is_told_of(platform: FakePlatform) -> None:
    platform.on("GET", f"{ENDPOINTS}/none", problem(404, "not_found", "There is no endpoint 'none'."))
    with pytest.raises(NotFound):
        platform.client.endpoints.get("none")
