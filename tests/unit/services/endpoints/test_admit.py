"""What an endpoint must be before it is stored."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pytest

from lepton_ai.errors import InvalidInput
from lepton_ai.services.endpoints.admit import admit
from lepton_ai.types.base import AnyObject
from lepton_ai.types.endpoint import Endpoint
from tests.unit.services.endpoints.samples import endpoint

T = TypeVar("T", bound=AnyObject)


@dataclass
class Desk:
    """Knows these endpoints as live ones, and nothing else."""

    endpoints: Collection[Endpoint] = ()

    def look_up(self, kind: type[T], project: str, name: str) -> T | None:
        return None

    def live(self, kind: type[T], project: str | None = None) -> Sequence[T]:
        return [found for found in self.endpoints if isinstance(found, kind)]

    def has_blob(self, project: str, digest: str) -> bool:
        return False


def other(port: int) -> Endpoint:
    """Return an endpoint of another project."""
    made = endpoint(port=port)
    return made.replace(metadata=made.metadata.replace(id="endpoint-speech", project="hidden", name="speech"))


def test_an_endpoint_that_needs_nothing_is_admitted_as_it_is() -> None:
    assert admit(endpoint(), None, Desk([other(0)])) == endpoint()


def test_a_fixed_port_that_nobody_names_is_admitted() -> None:
    assert admit(endpoint(port=8080), None, Desk([other(8081)])) == endpoint(port=8080)


def test_a_fixed_port_of_another_endpoint_is_refused_without_telling_whose_it_is() -> None:
    with pytest.raises(InvalidInput) as caught:
        admit(endpoint(port=8080), None, Desk([other(8080)]))
    assert "8080" in str(caught.value)
    assert "$PORT" in caught.value.hint
    assert not any(word in f"{caught.value} {caught.value.hint}" for word in ("hidden", "speech"))


def test_an_endpoint_may_keep_its_own_port() -> None:
    before = endpoint(port=8080)
    assert admit(before, before, Desk([before])) == before


def test_an_endpoint_may_not_move_to_the_port_of_another() -> None:
    with pytest.raises(InvalidInput):
        admit(endpoint(port=8080), endpoint(port=8081), Desk([other(8080)]))


@pytest.mark.parametrize("port", [1, 22, 1023])
def test_the_ports_of_the_system_are_refused(port: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        admit(endpoint(port=port), None, Desk())
    assert "1024" in str(caught.value)
