"""Shapes, kinds and the classes that could run them."""

from __future__ import annotations

import pytest

from lepton_ai.kernel.scheduling.demand import is_kind, options_of, shape_of
from lepton_ai.kernel.scheduling.fleet import Fleet
from lepton_ai.kernel.scheduling.snapshot import Demand
from lepton_ai.types.resources import AcceleratorRequest
from tests.unit.kernel.scheduling.worlds import GB, node

PART = "nvidia-h100-80gb-mig-1g.10gb"


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        ("h100", "nvidia-h100-80gb"),
        ("nvidia", "nvidia-h100-80gb"),
        ("nvidia-h100", "nvidia-h100-80gb"),
        ("80gb", "nvidia-h100-80gb"),
        ("", "anything"),
        ("tpu-v5e", "tpu-v5e"),
        ("", PART),
        ("mig", PART),
        ("h100-mig", PART),
        ("mig-1g.10gb", PART),
        ("a100-mig|h100-mig", PART),
        (PART, PART),
    ],
)
def test_a_part_of_a_kind_names_it(wanted: str, kind: str) -> None:
    assert is_kind(wanted, kind)


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        ("a10", "nvidia-a100-40gb"),
        ("v5", "tpu-v5e"),
        ("amd", "nvidia-t4"),
        ("h100", PART),
        ("nvidia-h100-80gb", PART),
        ("a100-mig", PART),
        ("mig-1g", PART),
        ("mig-2g.20gb", PART),
        ("h100-mig", "nvidia-h100-80gb"),
    ],
)
def test_half_a_part_of_a_kind_does_not(wanted: str, kind: str) -> None:
    assert not is_kind(wanted, kind)


def options(*, cpu: int = 1000, gpu: AcceleratorRequest | None = None, size: int = 1) -> list[str]:
    fleet = Fleet(
        [node("a", 4, "nvidia-t4-16gb"), node("b", 2), node("c", 8, "tpu-v5e", "tpu-v5e", cpu_class="cpu-arm")]
    )
    return [option.pool.name for option in options_of(shape_of(Demand(cpu, GB, gpu, size)), fleet)]


def test_cpu_work_may_run_on_every_cpu_class_that_can_hold_it() -> None:
    assert options() == ["cpu-arm", "cpu-avx2", "cpu-avx2"]
    assert options(cpu=5000) == ["cpu-arm"]


def test_a_device_request_has_the_kinds_that_match() -> None:
    assert options(gpu=AcceleratorRequest()) == ["nvidia-t4-16gb", "tpu-v5e"]
    assert options(gpu=AcceleratorRequest(count=2)) == ["tpu-v5e"]
    assert options(gpu=AcceleratorRequest(kind="h100")) == []


def test_a_gang_gets_the_classes_together_only_if_no_single_one_can_hold_it() -> None:
    assert options(cpu=2000, size=4) == ["cpu-arm"]
    assert options(cpu=2000, size=6) == ["cpu-arm+cpu-avx2"]
    assert options(cpu=2000, size=9) == []


def test_the_share_is_that_of_the_scarcest_thing() -> None:
    fleet = Fleet([node("a", 8, "tpu-v5e", "tpu-v5e"), node("b", 8)])
    half = shape_of(Demand(1000, GB, AcceleratorRequest(share_milli=500)))
    assert [option.share for option in options_of(half, fleet)] == [0.25]
    gang = shape_of(Demand(1000, GB, None, 4))
    assert [option.share for option in options_of(gang, fleet)] == [0.25]
