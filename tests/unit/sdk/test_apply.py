"""Applying what was written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from lepton_ai.errors import InvalidInput
from lepton_ai.sdk.endpoint_handle import EndpointHandle
from lepton_ai.sdk.job_handle import JobHandle
from tests.unit.sdk.fake_platform import PROJECT, FakePlatform, endpoint, job, ok

JOB = {"kind": "job", "metadata": {"name": "train"}, "spec": {"command": ["true"]}}
PATH = f"{PROJECT}/jobs/train"


@pytest.fixture
def platform() -> FakePlatform:
    platform = FakePlatform().on("PUT", PATH, ok(job()))
    return platform.on("PUT", f"{PROJECT}/endpoints/digits", ok(endpoint()))


def test_objects_of_both_kinds_are_put_in_order(platform: FakePlatform) -> None:
    served = {
        "kind": "endpoint",
        "metadata": {"name": "digits", "labels": {"a": "b"}},
        "spec": {"app": "digits:Digits"},
    }
    first, second = platform.client.apply([JOB, served])
    assert isinstance(first, JobHandle)
    assert isinstance(second, EndpointHandle)
    assert platform.bodies("PUT", f"{PROJECT}/endpoints/digits") == [served]


def test_what_was_printed_can_be_applied_again(platform: FakePlatform) -> None:
    platform.client.apply(job("running"))
    assert platform.bodies("PUT", PATH) == [JOB]


def test_an_object_may_name_its_project(platform: FakePlatform) -> None:
    platform.on("PUT", "/api/v1/projects/vision/jobs/train", ok(job()))
    platform.client.apply({**JOB, "metadata": {"name": "train", "project": "vision"}})
    assert len(platform.requests) == 1


def test_a_working_directory_is_uploaded_and_a_text_command_split(platform: FakePlatform, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1\n")
    platform.client.apply({**JOB, "spec": {"command": "python a.py", "workdir": str(tmp_path)}})
    (digest,) = platform.blobs
    assert platform.bodies("PUT", PATH)[0]["spec"] == {"command": ["python", "a.py"], "bundle": digest}


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({**JOB, "kind": "pod"}, "Object 2 is of kind 'pod'. Known: endpoint, job."),
        ({**JOB, "specs": {}}, "Object 2 has an unknown field 'specs'. Known: kind, metadata, spec, status."),
        ({"kind": "job", "metadata": {"name": "a"}}, "Object 2 has no mapping `spec`."),
        ({**JOB, "metadata": {"name": "a", "tags": {}}}, "Object 2, metadata has an unknown field 'tags'."),
        ({**JOB, "metadata": {}}, "Object 2 has no metadata.name."),
        ({**JOB, "spec": {"command": ["a"], "workdir": 3}}, "Object 2: `workdir` is the path of a folder"),
        ("job", "Object 2 is str, not a mapping"),
    ],
)
def test_nothing_is_sent_if_one_object_is_wrong(platform: FakePlatform, wanted: object, message: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        platform.client.apply([JOB, wanted])  # type: ignore[list-item]
    assert message in str(refusal.value)
    assert platform.requests == []
