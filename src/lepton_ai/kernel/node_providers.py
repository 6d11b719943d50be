"""The door to whoever makes machines: node providers, found by the entry points `lepton_ai.node_providers`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from lepton_ai.errors import InvalidInput

GROUP = "lepton_ai.node_providers"


@dataclass(frozen=True, slots=True)
class Group:
    """For whom a provider works: a node group of one instance, with the provider's own settings."""

    name: str
    instance: str  # tells the nodes of this instance from those of another one in the same cloud account
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NodeOrder:
    """One node to be made. It is to run `lepton join URL --name NAME --label ...` with `token` in LEPTON_JOIN_TOKEN.

    The token must not get into a command line, a log or an error.
    """

    group: Group
    name: str
    url: str
    labels: Mapping[str, str]
    token: str = field(repr=False)


class NodeProvider(Protocol):
    """Makes and deletes machines. Calls may take minutes; they come from several threads, one at a time for a node.

    Each raises a LeptonError that says why it could not, with the end of what a tool printed; anything may be called
    again after it failed, or after the core died in the middle of it.
    """

    def create(self, order: NodeOrder) -> None:
        """Have the machine made, and join; return once it is certain to come up, or before."""

    def delete(self, group: Group, name: str) -> None:
        """Delete the machine; one that is not there is no error."""

    def list(self, group: Group) -> Collection[str]:
        """Return the names of all machines that were made for the group and not deleted, up or not."""


class Members(Protocol):
    """What a node needs to join, and who has."""

    @property
    def url(self) -> str:
        """Where nodes reach the core."""

    @property
    def instance(self) -> str:
        """What tells this instance from others."""

    def invite(self, node: str) -> str:
        """Return a join token, good for one machine; it is stored as a hash alone."""

    def refresh(self) -> None:
        """Take note that members were deleted."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A manifest. `check` raises InvalidInput for settings that cannot work; `open` takes the state folder.

    One that cannot be opened makes no machines here: somebody else does, from a manifest.
    """

    check: Callable[[Mapping[str, str]], None]
    open: Callable[[Path], NodeProvider] | None


def find_provider(name: str) -> Provider:
    """Return the installed provider of that name; raises InvalidInput if there is none."""
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name not in points:
        raise InvalidInput(
            f"There is no node provider {name[:64]!r}.", hint=f"Known: {', '.join(sorted(points)) or 'none'}."
        )
    found = points[name].load()
    assert isinstance(found, Provider), f"{points[name].value} is no Provider"
    return found
