"""Runs an ONNX file with ONNX Runtime."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lepton_ai.errors import InvalidInput, NotFound, Unavailable
from lepton_ai.serving.runtimes.tensor import Tensor, TensorSpec

_DATATYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
}
_TENSOR = re.compile(r"^tensor\((\w+)\)$")
_NAME = re.compile(r"[^A-Za-z0-9._-]+")


class _Session(Protocol):
    def run(self, outputs: Sequence[str], feeds: Mapping[str, Tensor]) -> list[Tensor]: ...


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A loaded model. `is_batchable` if the first dimension of every input and output may have any length."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    is_batchable: bool
    session: _Session

    def run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return every output by name; raises InvalidInput if the model refuses these inputs."""
        names = [spec.name for spec in self.outputs]
        try:
            results = self.session.run(names, feeds)
        except Exception as error:  # onnxruntime's own errors have no common base but this one
            raise InvalidInput(f"The model {self.name!r} cannot run on these inputs: {_first_line(error)}") from error
        return dict(zip(names, results, strict=True))


def load_model(path: Path, name: str, threads: int) -> OnnxModel:
    """Load `path` to run on `threads` CPUs; raises NotFound, InvalidInput, or Unavailable without ONNX Runtime."""
    if name and _NAME.search(name):
        raise InvalidInput(f"{name!r} cannot name a model in a URL.", hint="Use letters, digits, '.', '_' and '-'.")
    if not path.is_file():
        raise NotFound(
            f"There is no file {str(path)!r}.", hint="Check --model; the path starts at the working directory."
        )
    try:
        import onnxruntime
    except ImportError as error:
        raise Unavailable("ONNX Runtime is not installed.", hint="Run: pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads look busy while they wait, and take the CPU from the event loop that feeds them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # as above: InvalidProtobuf, Fail, InvalidGraph, NotImplemented and more
        raise InvalidInput(
            f"{str(path)!r} ({path.stat().st_size} bytes) is not an ONNX model that can be run: {_first_line(error)}",
            hint="Export it again, for example with torch.onnx.export.",
        ) from error
    inputs = tuple(_spec(each, "input") for each in session.get_inputs())
    outputs = tuple(_spec(each, "output") for each in session.get_outputs())
    return OnnxModel(
        name=name or _NAME.sub("-", path.stem),
        inputs=inputs,
        outputs=outputs,
        is_batchable=bool(inputs) and all(spec.shape[:1] == (-1,) for spec in (*inputs, *outputs)),
        session=session,
    )


def _spec(described: Any, role: str) -> TensorSpec:
    found = _TENSOR.match(described.type)
    if not found or found[1] not in _DATATYPES:
        raise InvalidInput(
            f"The model's {role} {described.name!r} is of type {described.type}, which has no JSON form here.",
            hint="Export plain tensors; scikit-learn models with options={'zipmap': False}.",
        )
    shape = tuple(length if isinstance(length, int) else -1 for length in described.shape)
    return TensorSpec(described.name, _DATATYPES[found[1]], shape)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300]
