"""Uploads: kept whole or not at all, and seen only by the project that sent them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lepton_ai.types.identity import Role
from tests.unit.api.platform import BUNDLE_MAX, JOBS, Platform

BLOBS = "/api/v1/projects/default/blobs"
DATA = b"some bundle" * 100
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


def left_over(platform: Platform) -> list[Path]:
    """Return what lies half-written in the store."""
    return list((platform.settings.home / "blobs" / "incoming").iterdir())


def test_an_upload_is_kept_and_can_be_named_by_a_job(platform: Platform) -> None:
    missing = platform.call("HEAD", f"{BLOBS}/{DIGEST}")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
    assert platform.call("PUT", f"{BLOBS}/{DIGEST}", content=DATA).status_code == 201
    assert platform.call("HEAD", f"{BLOBS}/{DIGEST}").status_code == 200
    assert platform.post(JOBS, {"spec": {"command": ["true"], "bundle": DIGEST}}).status_code == 201


def test_an_upload_may_come_twice_and_leaves_a_record_each_time(platform: Platform) -> None:
    for _ in range(2):
        assert platform.call("PUT", f"{BLOBS}/{DIGEST}", content=DATA).status_code == 201
    assert [(record.operation, record.object_kind) for record in platform.audit()] == [("blob.put", "blob")] * 2


@pytest.mark.parametrize("data", [DATA[:-1], DATA + b"x", b""])
def test_what_is_not_what_it_says_is_not_kept(platform: Platform, data: bytes) -> None:
    refused = platform.call("PUT", f"{BLOBS}/{DIGEST}", content=data)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")
    assert f"{len(data):,} bytes arrived" in refused.json()["detail"]
    assert platform.call("HEAD", f"{BLOBS}/{DIGEST}").status_code == 404
    assert left_over(platform) == []
    assert platform.audit() == []


def test_an_upload_has_a_maximal_size(platform: Platform) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 10_000

    for content in (b"x" * (BUNDLE_MAX + 1), endless()):
        refused = platform.call("PUT", f"{BLOBS}/{DIGEST}", content=content)
        assert (refused.status_code, refused.json()["code"]) == (413, "too_large")
        assert left_over(platform) == []


def test_an_upload_may_be_larger_than_other_requests(platform: Platform) -> None:
    data = b"x" * BUNDLE_MAX
    assert platform.call("HEAD", f"{BLOBS}/{platform.upload(data)}").status_code == 200


def test_an_upload_that_is_cut_off_leaves_nothing(platform: Platform) -> None:
    status = platform.cut_off("PUT", f"{BLOBS}/{DIGEST}", DATA[:50])
    assert status == 400
    assert left_over(platform) == []
    assert platform.call("HEAD", f"{BLOBS}/{DIGEST}").status_code == 404


@pytest.mark.parametrize(
    "digest", ["x", "sha256:", "sha256:" + "A" * 64, "sha256:" + "0" * 63, "sha1:" + "0" * 40, "..", "%2e%2e%2fx"]
)
def test_a_digest_is_one(shared: Platform, digest: str) -> None:
    for method in ("HEAD", "PUT"):
        assert shared.call(method, f"{BLOBS}/{digest}").status_code in {404, 405, 422}
    assert left_over(shared) == []


def test_an_upload_of_another_project_is_not_there(platform: Platform) -> None:
    platform.project("other")
    digest = platform.upload(DATA, "other")
    ada = platform.user("ada", {"default": Role.ADMIN})
    assert platform.call("HEAD", f"{BLOBS}/{digest}", ada).status_code == 404
    refused = platform.post(JOBS, {"spec": {"command": ["true"], "bundle": digest}}, token=ada)
    assert refused.status_code == 422
    assert platform.call("PUT", f"{BLOBS}/{digest}", ada, content=DATA[:-1]).status_code == 422
    assert platform.call("PUT", f"{BLOBS}/{digest}", ada, content=DATA).status_code == 201


def test_the_bytes_of_a_refused_upload_are_not_read(platform: Platform) -> None:
    viewer = platform.user("vera", {"default": Role.VIEWER})
    read = []

    async def counted() -> AsyncIterator[bytes]:
        read.append(1)
        yield DATA

    assert platform.call("PUT", f"{BLOBS}/{DIGEST}", viewer, content=counted()).status_code == 403
    assert read == []
