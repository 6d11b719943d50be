"""What an endpoint must be before it is stored."""

from __future__ import annotations

from lepton_ai.errors import InvalidInput
from lepton_ai.kernel.admission import require_blobs, require_secrets
from lepton_ai.kernel.registry import Desk
from lepton_ai.node.requirements import parse_requirements
from lepton_ai.types.base import AnyObject
from lepton_ai.types.endpoint import Endpoint


def admit(thing: AnyObject, _before: AnyObject | None, desk: Desk) -> AnyObject:
    """Return the endpoint as it may be stored; raises InvalidInput with the next step."""
    assert isinstance(thing, Endpoint)
    parse_requirements(thing.spec.requirements)
    require_secrets(thing.project, thing.spec.secrets.values(), desk)
    require_blobs(thing.project, (thing.spec.bundle,), desk)
    if (thing.spec.app or thing.spec.model) and not thing.spec.bundle:
        what = f"app {thing.spec.app!r}" if thing.spec.app else f"model {thing.spec.model!r}"
        raise InvalidInput(
            f"The {what} is part of a folder, and none was uploaded.",
            hint="Name it: lepton endpoint create --workdir .",
        )
    return thing
