"""A project reads the names of its own tasks, and of no others."""

from __future__ import annotations

import pytest

from lepton_ai.kernel.task_names import as_seen


@pytest.mark.parametrize(
    ("project", "seen"),
    [
        ("ada", "the next are expected in 5 s when 'train' ends; it would delay a task of another project"),
        ("bob", "the next are expected in 5 s when a task of another project ends; it would delay 'serve'"),
    ],
)
def test_names_of_other_projects_tasks_are_left_out(project: str, seen: str) -> None:
    said = "the next are expected in 5 s when 'ada:train' ends; it would delay 'bob:serve'"
    assert as_seen(said, project) == seen


def test_what_names_no_task_stays_as_it_is() -> None:
    said = "no node has site=a:b; labels known: site='x'"
    assert as_seen(said, "ada") == said
