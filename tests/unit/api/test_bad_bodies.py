"""Bodies that were made to break something: each is refused with a problem, and none brings the core to its knees."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lepton_ai.api.json_body import DEPTH_MAX, read_json
from lepton_ai.errors import InvalidInput
from lepton_ai.types.identity import Role
from tests.unit.api.platform import BODY_MAX, JOB, JOBS, Platform
from tests.unit.api.surface import doors

DEEP = 100_000
HUGE = "9" * 5000
NESTED = '{"spec":' + '{"a":' * DEEP + "1" + "}" * DEEP + "}"


def job(**spec: str) -> bytes:
    """Return a draft of a job whose fields are given as they stand in JSON."""
    fields = {"command": '["true"]', **spec}
    return ('{"spec":{' + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}}").encode()


BODIES = {
    "empty": b"",
    "not JSON": b"{",
    "YAML": b"spec:\n  command: [true]\n",
    "no object": b"[]",
    "null": b"null",
    "a text": b'"x"',
    "a number": b"7",
    "two values": b"{} {}",
    "not UTF-8": b'{"spec":{"command":["\xff\xfe"]}}',
    "UTF-16": '{"spec":{}}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"spec":{}}',
    "a lone surrogate": job(command='["\\ud800"]'),
    "NUL in a word": job(command='["a\\u0000b"]'),
    "NUL in a key": job(env='{"A\\u0000B":"x"}'),
    "NaN": job(priority="NaN"),
    "infinity": job(priority="-Infinity"),
    "a float beyond all": job(priority="1e999"),
    "NaN as text": job(resources='{"cpu":"nan"}'),
    "infinity as text": job(resources='{"cpu":"inf"}'),
    "NaN seconds": job(timeout='"nan"'),
    "infinite seconds": job(timeout='"inf"'),
    "seconds beyond all": job(timeout="1e300"),
    "a huge integer": job(retries=f'{{"exit_codes":[{HUGE}]}}'),
    "a large integer": job(retries='{"exit_codes":[9223372036854775808]}'),
    "a large duration": job(timeout="9" * 400),
    "a large size": job(resources='{"memory":"99999999999999999999TB"}'),
    "a large count": job(resources='{"accelerator":"' + "9" * 400 + '"}'),
    "half a device twice": job(resources='{"accelerator":{"count":2,"share_milli":500}}'),
    "ten thousand words": job(command=json.dumps(["x"] * 10_000)),
    "ten thousand fields": job(**{f"f{number}": "1" for number in range(10_000)}),
    "ten thousand labels": json.dumps({"metadata": {"labels": {str(n): "" for n in range(10_000)}}, **JOB}).encode(),
    "deep arrays": b"[" * DEEP + b"]" * DEEP,
    "deep arrays without end": b"[" * DEEP,
    "deep objects": NESTED.encode(),
    "a bit too deep": ('{"spec":' * DEPTH_MAX + "{}" + "}" * DEPTH_MAX).encode(),
    "an array for a text": job(bundle="[]"),
    "true for a number": job(replicas='"yes"'),
    "an object for a list": job(command='{"0":"true"}'),
}


@pytest.mark.parametrize("what", BODIES)
def test_a_bad_body_is_refused_with_a_problem(shared: Platform, what: str) -> None:
    for content_type in ("application/json", "text/plain"):
        answer = shared.call("POST", JOBS, content=BODIES[what], headers={"content-type": content_type})
        problem = answer.json()
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        assert (problem["status"], problem["code"]) == (422, "invalid_input")
        assert problem["detail"]
        assert problem["hint"]
        assert len(answer.content) < 10_000


def test_a_form_is_answered_with_what_to_send(shared: Platform) -> None:
    refused = shared.call("POST", JOBS, data={"spec": "x"}).json()
    assert refused["detail"] == "body: must be a JSON object, sent with Content-Type: application/json"


@pytest.mark.parametrize("what", ["deep arrays", "deep objects", "not UTF-8", "NaN", "a huge integer", "null"])
def test_no_route_falls_over_a_bad_body(shared: Platform, what: str) -> None:
    takes_json = {"POST", "PUT", "PATCH"}
    for door in [door for door in doors(shared.app) if door.method in takes_json and "{digest}" not in door.path]:
        answer = shared.call(door.method, door.url(), content=BODIES[what])
        assert 200 <= answer.status_code < 500, door


def test_a_body_has_a_maximal_size(shared: Platform) -> None:
    async def ten_megabytes() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 100_000

    for content in (b" " * (10 * 1000 * 1000), ten_megabytes(), b" " * (BODY_MAX + 1)):
        refused = shared.call("POST", JOBS, content=content, headers={"content-type": "application/json"})
        assert (refused.status_code, refused.json()["code"]) == (413, "too_large")
        assert "4.2 MB" in refused.json()["detail"]
        assert refused.headers["content-type"] == "application/problem+json"


def test_a_body_just_below_the_limit_is_read(platform: Platform) -> None:
    draft = json.dumps({**JOB, "metadata": {"name": "large"}}).encode()
    whole = draft + b" " * (BODY_MAX - len(draft))
    headers = {"content-type": "application/json"}
    assert platform.call("POST", JOBS, content=whole, headers=headers).status_code == 201


def test_the_limit_holds_for_projects_that_are_called_like_uploads(platform: Platform) -> None:
    platform.project("blobs")
    refused = platform.call("POST", "/api/v1/projects/blobs/jobs", content=b" " * (BODY_MAX + 1))
    assert refused.status_code == 413


def test_a_body_that_is_refused_for_its_size_does_nothing_else(platform: Platform) -> None:
    viewer = platform.user("vera", {"default": Role.VIEWER})
    assert platform.call("POST", JOBS, viewer, content=b" " * (BODY_MAX + 1)).status_code == 413
    assert platform.get(JOBS).json()["items"] == []


@pytest.mark.parametrize("length", ["-1", "x", "9" * 400, "\u0663"])
def test_a_strange_length_does_no_harm(shared: Platform, length: str) -> None:
    headers = [("authorization", f"Bearer {shared.admin}"), ("content-length", length.encode())]
    request = shared.client.build_request("POST", JOBS, content=b"{}", headers=headers)  # type: ignore[arg-type]
    status = shared.runner.run(shared.client.send(request)).status_code
    assert status in {413, 422}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": 1.5, "b": [true, null]}', {"a": 1.5, "b": [True, None]}),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b"9223372036854775807", 2**63 - 1),
        (b"1e-999", 0.0),
        (b'"\\\\u0000"', "\\u0000"),
        (b"[" * DEPTH_MAX + b"]" * DEPTH_MAX, json.loads("[" * DEPTH_MAX + "]" * DEPTH_MAX)),
    ],
)
def test_good_json_is_read_as_it_is(text: bytes, value: Any) -> None:
    assert read_json(text) == value


@pytest.mark.parametrize("text", [b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1), b'{"a": NaN}', b'{"\\u0000": 1}'])
def test_bad_json_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_json(text)
