"""Nodes that are only imagined: by name, or written down."""

from __future__ import annotations

import pytest

from lepton_ai.errors import InvalidInput
from lepton_ai.simulation.node_shapes import SHAPES, imagined
from lepton_ai.types.resources import ACCELERATORS_MAX


def test_a_kind_gives_so_many_nodes_with_their_devices() -> None:
    first, second = imagined("2xh100")
    assert (first.name, second.name) == ("added-h100-001", "added-h100-002")
    assert [device.kind for device in first.devices] == ["nvidia-h100-80gb"] * 8
    assert len({device.id for node in (first, second) for device in node.devices}) == 16


def test_a_node_can_be_written_down() -> None:
    (node,) = imagined("cpu=64,memory=512GB,h100=4")
    assert (node.cpu_milli, node.memory_bytes) == (64_000, 512 * 10**9)
    assert [(device.kind, device.memory_bytes) for device in node.devices] == [("nvidia-h100-80gb", 80 * 10**9)] * 4


def test_an_unknown_device_keeps_its_word_and_the_memory_that_is_said() -> None:
    (node,) = imagined("1xcpu=8,gaudi9=2,device_memory=96GB")
    assert [(device.kind, device.memory_bytes) for device in node.devices] == [("gaudi9", 96 * 10**9)] * 2


def test_several_sorts_are_parted_by_plus_and_have_names_of_their_own() -> None:
    nodes = imagined("2xt4+3xcpu", "node")
    assert [len(node.devices) for node in nodes] == [8, 8, 0, 0, 0]
    assert len({node.name for node in nodes}) == 5


@pytest.mark.parametrize("kind", SHAPES)
def test_every_kind_names_its_source_and_is_a_possible_machine(kind: str) -> None:
    shape = SHAPES[kind]
    assert shape.source
    assert shape.cpus > 0
    assert shape.memory_bytes > 0
    assert shape.devices <= ACCELERATORS_MAX


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2xh900", "There is no node kind 'h900'. Known: cpu, t4"),
        ("0xh100", "asks for 0 nodes"),
        ("99999xh100", "asks for 99,999 nodes"),
        ("20000xcpu+1xcpu", "'1xcpu' asks for 1 nodes"),
        ("", "names no nodes"),
        ("cpu=64,h100", "'h100' in 'cpu=64,h100' is not one NAME=AMOUNT"),
        ("cpu=64,cpu=32", "'cpu=32' in"),
        ("cpu=many", "cpu=many is no number from 0 to 4096"),
        ("cpu=nan", "cpu=nan is no number"),
        ("cpu=1,h100=65", "h100=65 is no number from 0 to 64"),
        ("cpu=1,memory=lots", "'lots' is not an amount of bytes"),
        ("cpu=1,h100=1,t4=1", "has devices of several kinds: h100, t4"),
    ],
)
def test_what_names_no_nodes_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        imagined(text)
    assert message in raised.value.message
