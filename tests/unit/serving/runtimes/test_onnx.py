"""Loading an ONNX file: what is read from it, and one sentence for each way that it is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lepton_ai.errors import InvalidInput, NotFound
from lepton_ai.serving.runtimes.onnx import load_model
from lepton_ai.serving.runtimes.tensor import TensorSpec
from tests.unit.serving.models import save_digits


def test_a_model_says_what_it_takes_and_gives(tmp_path: Path) -> None:
    model = load_model(save_digits(tmp_path / "my digits.onnx"), "", 1)
    assert model.name == "my-digits"
    assert model.inputs == (TensorSpec("image", "FP32", (-1, 2, 2)),)
    assert model.outputs == (TensorSpec("sum", "FP32", (-1, 1)),)
    assert model.is_batchable


def test_a_model_of_fixed_batch_is_not_batchable(tmp_path: Path) -> None:
    assert not load_model(save_digits(tmp_path / "m.onnx", batch=1), "", 1).is_batchable


def test_a_model_runs(tmp_path: Path) -> None:
    model = load_model(save_digits(tmp_path / "m.onnx"), "", 1)
    outputs = model.run({"image": np.ones((3, 2, 2), dtype=np.float32)})
    assert outputs["sum"].tolist() == [[4.0]] * 3


def test_a_file_that_is_not_onnx_is_named_with_its_size(tmp_path: Path) -> None:
    path = tmp_path / "notes.onnx"
    path.write_text("These are no weights.")
    with pytest.raises(InvalidInput, match=r"notes.onnx' \(21 bytes\) is not an ONNX model"):
        load_model(path, "", 1)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.onnx"
    path.touch()
    with pytest.raises(InvalidInput, match="0 bytes"):
        load_model(path, "", 1)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"absent.onnx"):
        load_model(tmp_path / "absent.onnx", "", 1)


def test_a_name_that_no_url_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot name a model"):
        load_model(save_digits(tmp_path / "m.onnx"), "../x", 1)
