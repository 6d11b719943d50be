"""What makers promise of their devices, and what that says of two classes."""

from __future__ import annotations

import math

import pytest

from lepton_ai.kernel.scheduling.peaks import PEAKS, SIGMA, compare, peak_of


@pytest.mark.parametrize(
    ("resource_class", "prefix"),
    [
        ("nvidia-h100-80gb", "nvidia-h100"),
        ("nvidia-h100-pcie-80gb", "nvidia-h100-pcie"),
        ("nvidia-a100-40gb", "nvidia-a100-40gb"),
        ("nvidia-a10-24gb", "nvidia-a10"),
        ("nvidia-l40s-48gb", "nvidia-l40s"),
        ("tpu-v5e", "tpu-v5e"),
        ("ascend-910-64gb", "ascend-910"),
        ("intel-gaudi2-96gb", "intel-gaudi2"),
        ("cpu-avx512-amx", "cpu-avx512-amx"),
    ],
)
def test_the_most_particular_row_counts(resource_class: str, prefix: str) -> None:
    found = peak_of(resource_class)
    assert found is not None
    assert found.prefix == prefix


def test_a_partition_has_its_part() -> None:
    part = peak_of("nvidia-h100-80gb-mig-1g.10gb")
    assert part is not None
    assert part[1:3] == pytest.approx((989 / 7, 3350 / 8))


def test_two_classes_compare_by_the_geometric_mean_of_compute_and_memory() -> None:
    """T4 to A100: 4.8 times the compute and 4.86 times the bandwidth, so 4.83 times the speed."""
    found = compare("nvidia-t4-16gb", "nvidia-a100-40gb")
    assert found is not None
    assert math.exp(-found.log_time) == pytest.approx(4.83, rel=0.01)
    assert found.sigma == pytest.approx(SIGMA, rel=0.01)


def test_the_further_compute_and_memory_are_apart_the_less_is_known() -> None:
    """V100 to L4: the same compute, a third of the bandwidth."""
    found = compare("nvidia-v100-16gb", "nvidia-l4-24gb")
    assert found is not None
    assert found.sigma > SIGMA * 1.1
    assert found.log_time > 0


@pytest.mark.parametrize(
    ("first", "second"), [("nvidia-h100-80gb", "cpu-avx2"), ("nvidia-h100-80gb", "acme-9000"), ("cpu", "cpu-avx2")]
)
def test_what_does_not_compare_is_not_compared(first: str, second: str) -> None:
    assert compare(first, second) is None
    assert compare(second, first) is None


def test_each_row_is_whole_and_names_its_source() -> None:
    assert len({row.prefix for row in PEAKS}) == len(PEAKS)
    assert all(row.tflops > 0 and row.gigabytes_per_second > 0 and len(row.source) > 10 for row in PEAKS)
