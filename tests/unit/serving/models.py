"""Small ONNX models, built where they are needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def save_digits(path: Path, batch: str | int = "n") -> Path:
    """Save a model that gives `sum` [batch, 1] of an `image` [batch, 2, 2] of 32-bit floats."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 2, 2])
    total = helper.make_tensor_value_info("sum", TensorProto.FLOAT, [batch, 1])
    ones = numpy_helper.from_array(np.ones((4, 1), dtype=np.float32), "ones")
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "ones"], ["sum"]),
    ]
    return _save(helper.make_graph(nodes, "digits", [image], [total], [ones]), path)


def save_adder(path: Path) -> Path:
    """Save a model that gives `total` = `a` + `b`, vectors of 64-bit integers of any length."""
    kinds = [helper.make_tensor_value_info(name, TensorProto.INT64, ["n"]) for name in ("a", "b", "total")]
    return _save(
        helper.make_graph([helper.make_node("Add", ["a", "b"], ["total"])], "adder", kinds[:2], kinds[2:]), path
    )


def save_collapsing(path: Path) -> Path:
    """Save a model that gives its first row alone, where nobody can tell from the graph."""
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", 2])
    first = helper.make_tensor_value_info("first", TensorProto.FLOAT, ["m", 2])
    chosen = numpy_helper.from_array(np.array([True]), "chosen")
    node = helper.make_node("Compress", ["rows", "chosen"], ["first"], axis=0)
    return _save(helper.make_graph([node], "collapsing", [rows], [first], [chosen]), path)


def _save(graph: onnx.GraphProto, path: Path) -> Path:
    # Opset and IR version of 2022, so that older runtimes read them too.
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path
