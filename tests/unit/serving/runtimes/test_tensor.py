"""JSON values as tensors: what fits, what is refused, and with which numbers."""

from __future__ import annotations

import numpy as np
import pytest

from lepton_ai.errors import InvalidInput
from lepton_ai.serving.runtimes.tensor import DTYPES, TensorSpec, datatype_of


def test_flat_and_nested_data_give_the_same_tensor() -> None:
    spec = TensorSpec("x", "FP32", (-1, 2))
    nested, flat = spec.read([[1, 2], [3, 4]]), spec.read([1, 2, 3, 4], [2, 2])
    assert nested.dtype == np.float32
    assert nested.tolist() == flat.tolist() == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("datatype", "data", "sentence"),
    [
        ("FP32", [["a", "b"]], "holds strings; the model takes FP32"),
        ("FP32", [[None, 1]], "holds mixed values"),
        ("FP32", [[True, False]], "holds booleans"),
        ("INT64", [[1.5, 2]], "holds numbers; the model takes INT64"),
        ("BOOL", [[0, 1]], "holds integers; the model takes BOOL"),
        ("BYTES", [[0, 1]], "holds integers; the model takes BYTES"),
        ("UINT8", [[1, 256]], "outside UINT8: 0 to 255"),
        ("INT64", [[1, 2**64 - 1]], "outside INT64"),
        ("INT64", [[1, 2**70]], "outside INT64"),
        ("UINT64", [[-1, 2**63]], "outside UINT64"),
        ("FP32", [[1, 2], [3]], "ragged"),
        ("FP32", [1, 2], r"has shape \[2\]; the model takes \[-1, 2\]"),
        ("FP32", [[1, 2, 3]], r"has shape \[1, 3\]; the model takes \[-1, 2\]"),
    ],
)
def test_data_that_does_not_fit_is_refused_with_what_was_expected(datatype: str, data: object, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        TensorSpec("x", datatype, (-1, 2)).read(data)


def test_a_shape_that_the_data_does_not_fill_is_refused_with_both_numbers() -> None:
    with pytest.raises(InvalidInput, match=r"shape \[3, 2\], which is 6 values; its data holds 4"):
        TensorSpec("x", "FP32", (-1, 2)).read([1, 2, 3, 4], [3, 2])


def test_huge_integers_stay_exact_beside_small_ones() -> None:
    assert TensorSpec("x", "UINT64", (-1,)).read([1, 2**64 - 1]).tolist() == [1, 2**64 - 1]


def test_strings_are_read_as_bytes() -> None:
    tensor = TensorSpec("x", "BYTES", (-1,)).read(["a", "bc"])
    assert tensor.tolist() == ["a", "bc"]
    assert datatype_of(tensor) == "BYTES"


def test_an_empty_batch_fits() -> None:
    assert TensorSpec("x", "INT64", (-1, 2)).read([], [0, 2]).shape == (0, 2)


@pytest.mark.parametrize("datatype", sorted(DTYPES))
def test_every_datatype_is_named_back(datatype: str) -> None:
    assert datatype_of(np.zeros(1, dtype=DTYPES[datatype])) == datatype
