"""Who may use a bucket gets its place and its keys, and nobody else learns even whether it is there."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest

from lepton_ai.types.identity import Role
from tests.unit.api.platform import Platform

BUCKETS = "/api/v1/projects/default/buckets"
SECONDS_MAX = 30


def bucket(platform: Platform, name: str = "data") -> str:
    made = platform.post(BUCKETS, {"metadata": {"name": name}, "spec": {}})
    assert made.status_code == 201, made.text
    return str(made.json()["metadata"]["id"])


def write_grant(platform: Platform, name: str = "data") -> dict[str, Any]:
    answer = platform.post(f"{BUCKETS}/{name}/write")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def is_gone(platform: Platform, name: str) -> bool:
    """Let the loop and the thread that empties buckets work until the bucket is gone."""
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        platform.settle()
        if platform.get(f"{BUCKETS}/{name}").status_code == 404:
            return True
        time.sleep(0.02)
    return False


def test_a_writer_gets_the_place_and_a_fresh_key_each_time(platform: Platform) -> None:
    bucket_id = bucket(platform)
    first, second = write_grant(platform), write_grant(platform)
    assert first["bucket_id"] == bucket_id
    assert first["target"]["prefix"] == f"{first['project_id']}/{bucket_id}"
    assert first["data_key"]["plain"] != second["data_key"]["plain"]


def test_a_reader_gets_the_place_and_no_key(platform: Platform) -> None:
    bucket(platform)
    viewer = platform.user("vi", {"default": Role.VIEWER})
    assert platform.call("POST", f"{BUCKETS}/data/read", viewer).json()["data_key"] is None
    assert platform.call("POST", f"{BUCKETS}/data/write", viewer).status_code == 403


def test_a_key_is_unwrapped_in_its_own_bucket_alone(platform: Platform) -> None:
    bucket(platform)
    bucket(platform, "other")
    key = write_grant(platform)["data_key"]
    asked = {"wrapped": [key["wrapped"], base64.b64encode(bytes(64)).decode()]}
    assert platform.post(f"{BUCKETS}/data/keys", asked).json()["plain"] == [key["plain"], ""]
    assert platform.post(f"{BUCKETS}/other/keys", asked).json()["plain"] == ["", ""]


@pytest.mark.parametrize("wrapped", ["", "AAAA", "A" * 88, 5, None])
def test_what_is_no_wrapped_key_is_refused_in_words(platform: Platform, wrapped: object) -> None:
    bucket(platform)
    answer = platform.post(f"{BUCKETS}/data/keys", {"wrapped": [wrapped]})
    assert answer.status_code == 422
    assert answer.json()["detail"]


def test_a_missing_and_a_foreign_bucket_look_the_same(platform: Platform) -> None:
    platform.project("vision")
    platform.post("/api/v1/projects/vision/buckets", {"metadata": {"name": "scans"}, "spec": {}})
    stranger = platform.user("stranger", {"default": Role.ADMIN})
    answers = [
        platform.call("POST", f"/api/v1/projects/{project}/buckets/{name}/read", stranger)
        for project, name in (("vision", "scans"), ("vision", "nothing"), ("nowhere", "scans"))
    ]
    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert len({answer.json()["detail"].replace("nowhere", "vision") for answer in answers}) == 1


def test_grants_and_unwrapped_keys_are_audited_without_the_keys(platform: Platform) -> None:
    bucket(platform)
    key = write_grant(platform)["data_key"]
    platform.post(f"{BUCKETS}/data/keys", {"wrapped": [key["wrapped"]]})
    told = [(one.operation, one.object_name, one.detail) for one in platform.audit()][-2:]
    assert told == [("bucket.write", "data", ""), ("bucket.unwrap", "data", "1 of 1 keys")]
    assert key["plain"] not in repr(platform.audit())


def test_after_a_rotation_old_keys_are_unwrapped_still(platform: Platform) -> None:
    bucket(platform)
    key = write_grant(platform)["data_key"]
    assert platform.post("/api/v1/projects/default/keys/rotate").json() == {"version": 2}
    assert base64.b64decode(write_grant(platform)["data_key"]["wrapped"])[:4] == b"\0\0\0\2"
    assert platform.post(f"{BUCKETS}/data/keys", {"wrapped": [key["wrapped"]]}).json()["plain"] == [key["plain"]]


def test_a_bucket_that_is_deleted_takes_its_objects_along_and_no_more_writers(platform: Platform) -> None:
    bucket(platform)
    target = write_grant(platform)["target"]
    folder = platform.settings.home / "objects" / target["prefix"]
    folder.mkdir(parents=True)
    (folder / "object").write_bytes(b"sealed")
    platform.call("DELETE", f"{BUCKETS}/data")
    assert platform.post(f"{BUCKETS}/data/write").status_code == 409
    assert is_gone(platform, "data")
    assert not folder.exists()


def test_a_project_that_is_deleted_takes_its_keys_along(platform: Platform) -> None:
    platform.project("vision")
    path = "/api/v1/projects/vision/buckets"
    platform.post(path, {"metadata": {"name": "scans"}, "spec": {}})
    grant = platform.post(f"{path}/scans/write").json()
    keys = platform.settings.home / "keyring" / f"{grant['project_id']}.keys"
    assert keys.exists()
    assert platform.call("DELETE", "/api/v1/projects/vision").status_code == 409  # it still holds the bucket
    assert keys.exists()
    platform.call("DELETE", f"{path}/scans")
    until_empty(platform, path)
    assert platform.call("DELETE", "/api/v1/projects/vision").status_code == 202
    assert not list(keys.parent.iterdir())


def until_empty(platform: Platform, path: str) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while platform.get(path).json()["items"] and time.monotonic() < deadline:
        platform.settle()
        time.sleep(0.02)
