"""What an endpoint must be before it is stored."""

from __future__ import annotations

from lepton_ai.errors import InvalidInput
from lepton_ai.kernel.admission import require_blobs, require_secrets
from lepton_ai.kernel.registry import Desk
from lepton_ai.node.requirements import parse_requirements
from lepton_ai.types.base import AnyObject
from lepton_ai.types.endpoint import Endpoint

PORT_MIN = 1024  # those below belong to the system's own services


def admit(thing: AnyObject, before: AnyObject | None, desk: Desk) -> AnyObject:
    """Return the endpoint as it may be stored; raises InvalidInput with the next step."""
    assert isinstance(thing, Endpoint)
    if before is None or (isinstance(before, Endpoint) and before.spec.port != thing.spec.port):
        _require_free_port(thing, desk)
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


def _require_free_port(endpoint: Endpoint, desk: Desk) -> None:
    """Two endpoints on one port would get each other's requests. Whose it is stays secret."""
    port = endpoint.spec.port
    if 0 < port < PORT_MIN:
        raise InvalidInput(
            f"Port {port} belongs to the system; fixed ports begin at {PORT_MIN}.",
            hint="Leave the port out and let the command listen on $PORT.",
        )
    if port and any(other.spec.port == port and other.id != endpoint.id for other in desk.live(Endpoint)):
        raise InvalidInput(
            f"Port {port} is taken by another endpoint.",
            hint="Leave the port out and let the command listen on $PORT, or choose another port.",
        )
