"""The `handler` mark: what it keeps, what it refuses, what is found again."""

from __future__ import annotations

import pytest

from lepton_ai.errors import InvalidInput
from lepton_ai.serving.app import HandlerOptions, find_handlers, handler


class Base:
    @handler
    def first(self, number: int) -> int:
        return number + 1

    @handler(max_batch_size=4, max_wait_ms=1)
    def second(self, numbers: list[int]) -> list[int]:
        return numbers

    def unmarked(self) -> None: ...

    @property
    def costly(self) -> int:
        raise AssertionError("looking for handlers must not read properties")


class Derived(Base):
    @handler
    def third(self) -> None: ...

    def first(self, number: int) -> int:
        return number


def test_a_marked_method_can_still_be_called_as_it_is() -> None:
    assert Base().first(1) == 2


def test_handlers_are_found_in_the_order_that_they_were_written() -> None:
    found = [(name, options.max_batch_size) for name, _, options in find_handlers(Base())]
    assert found == [("first", 1), ("second", 4)]


def test_a_handler_overridden_without_the_mark_is_served_no_more() -> None:
    assert [name for name, _, _ in find_handlers(Derived())] == ["second", "third"]


@pytest.mark.parametrize(
    "options", [{"max_batch_size": 0}, {"max_batch_size": 10_000}, {"max_wait_ms": -1.0}, {"max_waiting": 0}]
)
def test_options_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(options))):
        HandlerOptions(**options)
