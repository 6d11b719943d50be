"""What a job must be before it is stored."""

from __future__ import annotations

import re

from lepton_ai.errors import InvalidInput
from lepton_ai.kernel.admission import require_blobs, require_secrets
from lepton_ai.kernel.registry import Desk
from lepton_ai.node.requirements import parse_requirements
from lepton_ai.types.base import AnyObject
from lepton_ai.types.job import Job


def admit(thing: AnyObject, before: AnyObject | None, desk: Desk) -> AnyObject:
    """Return the job as it may be stored; raises InvalidInput with the next step."""
    assert isinstance(thing, Job)
    if isinstance(before, Job):
        if thing.spec != before.spec.replace(stop_requested=thing.spec.stop_requested):
            raise InvalidInput(
                f"Job {before.name!r} was submitted already; what it runs cannot be changed.",
                hint="Stop it and submit another.",
            )
        if before.spec.stop_requested and not thing.spec.stop_requested:
            raise InvalidInput(
                f"Job {before.name!r} is being stopped; that cannot be taken back.", hint="Submit another."
            )
        return thing
    parse_requirements(thing.spec.requirements)
    require_secrets(thing.project, thing.spec.secrets.values(), desk)
    require_blobs(thing.project, (thing.spec.bundle, thing.spec.function), desk)
    for name in thing.spec.after:
        if desk.look_up(Job, thing.project, name) is None:
            raise InvalidInput(
                f"There is no job {name!r} for this one to follow.", hint="See: lepton job list; submit that one first."
            )
    return thing


def name_stem(thing: AnyObject) -> str:
    """Return what an unnamed job's name begins with: its program, so that a list of jobs can be read."""
    assert isinstance(thing, Job)
    words = [word for word in thing.spec.command if not word.startswith("-")]
    if not words:
        return thing.metadata.labels.get("function", "function").lower().replace("_", "-")
    scripts = [word for word in words[1:2] if word.endswith((".py", ".sh"))]
    stem = (scripts or words)[0].rsplit("/", maxsplit=1)[-1].split(".")[0].lower()
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-") or "job"
