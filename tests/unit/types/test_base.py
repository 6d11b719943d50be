"""What every object has in common: names, strictness, and a body that reads back as it was written."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lepton_ai.types.base import NAME_MAX_LENGTH, check_name, to_rfc3339
from lepton_ai.types.endpoint import EndpointSpec
from lepton_ai.types.job import Job, JobSpec
from lepton_ai.types.resources import parse_accelerator
from tests.unit.services.endpoints.samples import endpoint
from tests.unit.services.jobs.samples import job


@pytest.mark.parametrize("name", ["a", "train", "a-b-c", "0", "x" * NAME_MAX_LENGTH])
def test_names_are_labels_of_the_domain_name_system(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a_b", "../etc", "a/b", "a b", "a\n", "é", "x" * (NAME_MAX_LENGTH + 1)]
)
def test_whatever_could_be_a_path_or_a_trick_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="is not a name"):
        check_name(name)


def test_times_are_told_with_microseconds_in_utc() -> None:
    assert to_rfc3339(datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)) == "2026-01-02T03:04:05.000006Z"


def test_unknown_fields_are_refused_at_every_level() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        JobSpec.model_validate({"command": ["true"], "resources": {"cpus": 1}})


def test_an_object_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError):
        job().metadata.name = "other"  # type: ignore[misc]


@given(st.lists(st.text(max_size=20).filter(lambda word: "\0" not in word and word.strip()), min_size=1, max_size=5))
def test_a_stored_job_reads_back_as_it_was(words: list[str]) -> None:
    made = job(command=tuple(words), timeout="1h30m", resources={"memory": "4GB", "gpu": "24GB..80GB:2"})
    assert Job.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({}, "either a command or a function"),
        ({"command": ["true"], "function": "sha256:" + "0" * 64}, "either a command or a function"),
        ({"command": [" "]}, "the command is empty"),
        ({"command": ["a\0b"]}, "NUL"),
        ({"command": ["true"], "env": {"A": "\0"}}, "NUL"),
        ({"command": ["true"], "timeout": 0}, "time-out of 0"),
        ({"command": ["true"], "replicas": 0}, "greater than or equal to 1"),
        ({"command": ["true"], "env": {"1A": "x"}}, "is not a variable"),
    ],
)
def test_a_job_that_cannot_run_is_refused(spec: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        JobSpec.model_validate(spec)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({}, "exactly one of command, app and model"),
        ({"command": ["serve"], "app": "a:B"}, "exactly one of command, app and model"),
        ({"app": "a:B", "port": 80}, "a port is only for a command"),
        ({"command": ["serve"], "port": 80, "replicas": 2}, "cannot share port 80"),
        ({"model": "/etc/passwd"}, "a path inside the uploaded folder"),
        ({"model": "../x.onnx"}, "a path inside the uploaded folder"),
        ({"command": ["serve"], "health_path": "/a b"}, "is not a path"),
    ],
)
def test_an_endpoint_that_cannot_serve_is_refused(spec: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        EndpointSpec.model_validate(spec)


def test_a_stored_endpoint_reads_back_as_it_was() -> None:
    made = endpoint(idle_timeout="5m", resources={"gpu": "h100:2"})
    assert type(made).model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("h100:1", {"kind": "h100", "count": 1}),
        ("h100", {"kind": "h100", "count": 1}),
        (2, {"kind": "", "count": 2}),
        (0.5, {"kind": "", "share_milli": 500}),
        ("nvidia:0.25", {"kind": "nvidia", "share_milli": 250}),
        ("24GB..80GB:2", {"count": 2, "memory_bytes_min": 24 * 10**9, "memory_bytes_max": 80 * 10**9}),
        ("24GB:1", {"count": 1, "memory_bytes_min": 24 * 10**9}),
    ],
)
def test_devices_are_asked_for_as_people_write_them(written: object, read: dict[str, object]) -> None:
    found = parse_accelerator(written)
    assert {key: found.get(key, "") for key in read} == read


@pytest.mark.parametrize("wrong", ["h100:0", "h100:1.5", "65", "80GB..24GB", "lots:many:more:1", "-1", "|||", ".*"])
def test_what_no_machine_can_give_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError):
        JobSpec.model_validate({"command": ["true"], "resources": {"gpu": wrong}})
