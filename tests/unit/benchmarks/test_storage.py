"""The storage benchmark compares like with like: with encryption off, all is the same but the cipher."""

from __future__ import annotations

from benchmarks.storage.objects import interleaved, median_ratio
from benchmarks.storage.rig import encryption_off
from tests.unit.sealing.samples import CONTENT, open_sealed, seal


def test_with_encryption_off_content_is_only_copied_and_the_sizes_stay() -> None:
    with encryption_off():
        plain = seal()
        assert open_sealed(plain) == CONTENT
    assert CONTENT[:100] in plain
    assert len(plain) == len(seal())


def test_afterwards_encryption_is_on_again() -> None:
    with encryption_off():
        pass
    assert CONTENT[:100] not in seal()


def test_ways_take_turns_so_that_all_see_the_machine_alike() -> None:
    order: list[str] = []
    found = interleaved((lambda: order.append("a"), lambda: order.append("b")))
    assert order == ["a", "b"] * (len(order) // 2)
    assert [len(seconds) for seconds in found] == [len(order) // 2] * 2
    assert median_ratio([2.0, 4.0, 9.0], [1.0, 2.0, 3.0]) == 2.0
