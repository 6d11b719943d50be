"""What tasks are called where others may read it: a project sees the names of its own tasks, and no others."""

from __future__ import annotations

import re

from lepton_ai.types.task import Task

FOREIGN = "a task of another project"
# The scheduler's sentences quote what names it is given; neither projects nor their jobs have a colon in their names.
_QUOTED = re.compile(r"'([a-z0-9-]+):([^']*)'")


def full_name(task: Task) -> str:
    """Return what the scheduler calls a task: a sentence of it is one for all projects that wait for the same."""
    return f"{task.project}:{task.spec.owner_name}"


def as_seen(sentence: str, project: str) -> str:
    """Return a sentence of the scheduler as the project may read it."""
    if ":" not in sentence:
        return sentence
    return _QUOTED.sub(lambda found: f"'{found[2]}'" if found[1] == project else FOREIGN, sentence)
