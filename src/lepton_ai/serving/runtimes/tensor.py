"""Tensors between JSON and NumPy: their Open Inference Protocol datatypes, shapes and checks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton_ai.errors import InvalidInput

Tensor = NDArray[Any]
DTYPES: dict[str, type[np.generic]] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}
# What kinds of JSON values fit: b boolean, i integer, u unsigned beyond int64, f float, U string.
_KINDS = {"b": "b", "i": "iu", "u": "iu", "f": "iuf", "O": "U"}
_KIND_NAMES = {"b": "booleans", "i": "integers", "u": "integers", "f": "numbers", "U": "strings", "O": "mixed values"}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a model takes or gives under one name. A dimension of -1 may have any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def read(self, data: object, shape: Sequence[int] | None = None) -> Tensor:
        """Return `data` (flat if `shape` is given, or nested) as an array that fits; raises InvalidInput."""
        try:
            array: Tensor = np.asarray(data)
        except (ValueError, OverflowError) as error:
            raise InvalidInput(f"Input {self.name!r} is ragged: lists of one level differ in length.") from error
        dtype = np.dtype(DTYPES[self.datatype])
        if dtype.kind in "iu" and array.dtype.kind in "fO":
            array = self._read_exactly(data, array, dtype)
        if array.dtype.kind not in _KINDS[dtype.kind] and array.size:
            raise InvalidInput(
                f"Input {self.name!r} holds {_KIND_NAMES.get(array.dtype.kind, 'mixed values')}; "
                f"the model takes {self.datatype}."
            )
        return self.fit(self._cast(array, dtype), shape)

    def fit(self, array: Tensor, shape: Sequence[int] | None) -> Tensor:
        """Return `array` in `shape` (its own if None) once that agrees with the model; raises InvalidInput."""
        if shape is not None and tuple(shape) != array.shape:
            if any(length < 0 for length in shape) or math.prod(shape) != array.size:
                raise InvalidInput(
                    f"Input {self.name!r} has shape {list(shape)}, which is {math.prod(shape)} values; "
                    f"its data holds {array.size}."
                )
            array = array.reshape(shape)
        fits = len(array.shape) == len(self.shape) and all(
            want in (-1, given) for want, given in zip(self.shape, array.shape, strict=True)
        )
        if not fits:
            raise InvalidInput(
                f"Input {self.name!r} has shape {list(array.shape)}; the model takes {list(self.shape)}.",
                hint="-1 stands for any length.",
            )
        return array

    def _read_exactly(self, data: object, rounded: Tensor, dtype: np.dtype[Any]) -> Tensor:
        """Return `data` as integers if it holds nothing else: NumPy takes small and huge ones together for floats."""
        exact = np.asarray(data, dtype=object)
        if not all(type(value) is int for value in exact.flat):
            return rounded
        try:
            return exact.astype(dtype)
        except OverflowError as error:
            raise self._outside(dtype) from error

    def _cast(self, array: Tensor, dtype: np.dtype[Any]) -> Tensor:
        if dtype.kind in "iu" and array.size and array.dtype != dtype:
            bounds = np.iinfo(dtype)
            if int(array.min()) < bounds.min or int(array.max()) > bounds.max:
                raise self._outside(dtype)
        return array.astype(dtype, copy=False)

    def _outside(self, dtype: np.dtype[Any]) -> InvalidInput:
        bounds = np.iinfo(dtype)
        return InvalidInput(f"Input {self.name!r} holds values outside {self.datatype}: {bounds.min} to {bounds.max}.")


def datatype_of(array: Tensor) -> str:
    """Return the protocol's word for an array's type."""
    if array.dtype.kind in "OUS":
        return "BYTES"
    return next(name for name, dtype in DTYPES.items() if array.dtype == dtype)
