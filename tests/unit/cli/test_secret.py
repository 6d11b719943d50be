"""`lepton secret`: what it asks of the platform, and what it prints."""

from __future__ import annotations

from typing import Any

from tests.unit.cli.program import printed, run
from tests.unit.sdk.fake_platform import FakePlatform, ok, page

SECRETS = "/api/v1/projects/default/secrets"
VALUE = "s3cret"


def secret() -> dict[str, Any]:
    metadata = {"id": "secret-1", "name": "hub", "created_at": "2026-01-02T03:04:05Z", "created_by": "ada"}
    return {"kind": "secret", "metadata": metadata, "spec": {}, "status": {}}


def test_the_value_comes_from_standard_input_without_its_last_line_break(platform: FakePlatform) -> None:
    platform.on("POST", SECRETS, ok(secret(), 201))
    result = run(platform, "secret", "set", "hub", stdin=f"{VALUE}\n")
    assert result.exit_code == 0
    assert platform.bodies("POST", SECRETS) == [{"metadata": {"name": "hub"}, "spec": {"value": VALUE}}]
    assert VALUE not in result.output


def test_the_value_cannot_be_an_argument(platform: FakePlatform) -> None:
    assert run(platform, "secret", "set", "hub", VALUE).exit_code == 2


def test_an_empty_or_a_huge_value_is_a_wrong_usage(platform: FakePlatform) -> None:
    assert run(platform, "secret", "set", "hub", stdin="\n").exit_code == 2
    assert run(platform, "secret", "set", "hub", stdin="x" * 70_000).exit_code == 2
    assert not platform.requests


def test_names_are_listed_with_their_owner(platform: FakePlatform) -> None:
    platform.on("GET", SECRETS, page(secret()))
    assert "ada" in run(platform, "secret", "list").stdout
    assert printed(run(platform, "secret", "list", "-o", "json"))[0]["metadata"]["name"] == "hub"


def test_deleting_says_so(platform: FakePlatform) -> None:
    platform.on("DELETE", f"{SECRETS}/hub", ok(secret(), 202))
    assert run(platform, "secret", "delete", "hub").stdout == "Secret hub is deleted.\n"
