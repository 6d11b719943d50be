"""What SeaweedFS is told: keys that open one project's bucket, and no secret where others can see it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lepton_ai.backends.object_stores.seaweed import config
from lepton_ai.errors import StorageFailed

STATE = replace(config.new_state([20001, 20002, 20003, 20004]), projects=("project-1", "project-2"))
FOLDER = Path("/state/seaweedfs")


def test_each_project_has_a_reader_and_a_writer_of_its_own_bucket() -> None:
    found = {one["name"]: one["actions"] for one in json.loads(config.identities(STATE))["identities"]}
    assert found["reader-project-1"] == ["Read:lepton-project-1", "List:lepton-project-1"]
    assert found["writer-project-2"] == ["Read:lepton-project-2", "List:lepton-project-2", "Write:lepton-project-2"]
    assert sorted(found) == [
        "admin",
        "reader-project-1",
        "reader-project-2",
        "writer-project-1",
        "writer-project-2",
    ]


def test_no_two_keys_are_alike_and_a_later_core_makes_the_same_ones() -> None:
    keys = [
        config.project_key(STATE, project, may_write=may_write)
        for project in STATE.projects
        for may_write in (True, False)
    ]
    assert len({key.secret_access_key for key in [*keys, config.admin_key(STATE)]}) == 5
    again = config.read_state(config.write_state(STATE), FOLDER)
    assert config.project_key(again, "project-1", may_write=True) == keys[0]


def test_no_secret_is_an_argument_or_shown() -> None:
    words = " ".join(config.arguments(STATE, FOLDER, FOLDER))
    secrets = [STATE.root_secret, config.admin_key(STATE).secret_access_key]
    secrets += [value for name, value in config.environment(STATE, FOLDER).items() if "SIGNING" in name]
    assert len(secrets) == 5
    assert not [secret for secret in secrets if secret in words or secret in repr(STATE)]
    assert "secret_access_key" not in repr(config.admin_key(STATE))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"master_port": 1}'])
def test_a_damaged_state_is_refused(text: str) -> None:
    with pytest.raises(StorageFailed, match="is damaged"):
        config.read_state(text, FOLDER)
