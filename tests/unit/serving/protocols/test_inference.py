"""A model over HTTP: the Open Inference Protocol and the plain `/predict`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from lepton_ai.serving.app import HandlerOptions
from lepton_ai.serving.http import Application
from lepton_ai.serving.metrics import Metrics
from lepton_ai.serving.protocols.inference import model_routes
from lepton_ai.serving.runtimes.onnx import load_model
from tests.unit.serving.models import save_adder, save_collapsing, save_digits

pytestmark = pytest.mark.anyio
IMAGE = [[1.0, 2.0], [3.0, 4.0]]
NO_WAIT = HandlerOptions(max_batch_size=4, max_wait_ms=0)
FILL = HandlerOptions(max_batch_size=4, max_wait_ms=60_000)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def serving(path: Path, options: HandlerOptions = NO_WAIT) -> AsyncIterator[httpx.AsyncClient]:
    metrics = Metrics()
    with ThreadPoolExecutor(1) as pool:
        application = Application(model_routes(load_model(path, "", 1), options, pool, metrics), metrics)
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url="http://replica") as client:
            yield client


def infer_body(**changes: Any) -> dict[str, Any]:
    tensor = {"name": "image", "shape": [1, 2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}
    return {"id": "7", "inputs": [{**tensor, **changes}]}


async def test_metadata_names_inputs_and_outputs(tmp_path: Path) -> None:
    async with serving(save_digits(tmp_path / "digits.onnx")) as client:
        described = (await client.get("/v2/models/digits")).json()
    assert described["platform"] == "onnx_onnxv1"
    assert described["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 2, 2]}]
    assert described["outputs"] == [{"name": "sum", "datatype": "FP32", "shape": [-1, 1]}]


@pytest.mark.parametrize(
    "path",
    [
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/digits/ready",
        "/v2/models/digits/versions/1",
        "/v2/models/digits/versions/1/ready",
        "/health/live",
        "/health/ready",
    ],
)
async def test_a_loaded_model_is_ready(tmp_path: Path, path: str) -> None:
    async with serving(save_digits(tmp_path / "digits.onnx")) as client:
        assert (await client.get(path)).status_code == 200


async def test_an_inference_has_the_shape_of_the_protocol(tmp_path: Path) -> None:
    async with serving(save_digits(tmp_path / "digits.onnx")) as client:
        answer = await client.post("/v2/models/digits/infer", json=infer_body())
    assert answer.json() == {
        "model_name": "digits",
        "model_version": "1",
        "id": "7",
        "outputs": [{"name": "sum", "datatype": "FP32", "shape": [1, 1], "data": [10.0]}],
    }


async def test_nested_data_is_taken_too(tmp_path: Path) -> None:
    async with serving(save_digits(tmp_path / "digits.onnx")) as client:
        answer = await client.post("/v2/models/digits/infer", json=infer_body(data=[IMAGE]))
    assert answer.json()["outputs"][0]["data"] == [10.0]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"datatype": "FP64"}, "has datatype FP64; the model takes FP32"),
        ({"shape": [1, 4]}, "has shape [1, 4]; the model takes [-1, 2, 2]"),
        ({"shape": [2, 2, 2]}, "which is 8 values; its data holds 4"),
        ({"name": "picture"}, "no input 'picture'"),
        ({"data": ["a", "b", "c", "d"]}, "holds strings"),
        ({"shape": [-1, 2, 2]}, "#/inputs/0/shape/0"),
    ],
)
async def test_a_wrong_tensor_is_refused_with_expected_and_given(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    async with serving(save_digits(tmp_path / "digits.onnx")) as client:
        answer = await client.post("/v2/models/digits/infer", json=infer_body(**changes))
    assert answer.status_code == 422
    assert sentence in answer.json()["detail"]
    assert answer.json()["error"] == answer.json()["detail"]  # the field that the protocol names


async def test_an_output_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    async with serving(save_digits(tmp_path / "digits.onnx")) as client:
        answer = await client.post("/v2/models/digits/infer", json={**infer_body(), "outputs": [{"name": "x"}]})
    assert answer.status_code == 422
    assert answer.json()["hint"] == "Known: sum."


async def test_an_unknown_model_is_not_found(tmp_path: Path) -> None:
    async with serving(save_digits(tmp_path / "digits.onnx")) as client:
        assert (await client.get("/v2/models/letters")).status_code == 404


@pytest.mark.parametrize("body", [[IMAGE], {"inputs": [IMAGE]}, {"inputs": {"image": [IMAGE]}}])
async def test_predict_takes_bare_and_named_inputs(tmp_path: Path, body: Any) -> None:
    async with serving(save_digits(tmp_path / "digits.onnx")) as client:
        assert (await client.post("/predict", json=body)).json() == {"outputs": {"sum": [[10.0]]}}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ([1, 2], "not named"),
        ({"inputs": {"a": [1]}}, "needs the inputs: b"),
        ({"a": [1], "b": [1]}, "has the fields a, b"),
        ({"inputs": {"a": [1], "b": [1], "c": [1]}}, "no input 'c'"),
    ],
)
async def test_predict_names_what_is_missing_or_too_much(tmp_path: Path, body: Any, sentence: str) -> None:
    async with serving(save_adder(tmp_path / "adder.onnx")) as client:
        answer = await client.post("/predict", json=body)
    assert answer.status_code == 422
    assert sentence in answer.json()["detail"]


async def test_a_body_that_is_not_json_is_answered_400(tmp_path: Path) -> None:
    async with serving(save_digits(tmp_path / "digits.onnx")) as client:
        for path in ("/predict", "/v2/models/digits/infer"):
            assert (await client.post(path, content=b"[[")).status_code == 400


async def test_concurrent_calls_are_one_run_and_each_gets_its_own_rows(tmp_path: Path) -> None:
    async with serving(save_digits(tmp_path / "digits.onnx"), FILL) as client:
        bodies = [[[[number, 0], [0, 0]]] * rows for number, rows in ((1, 1), (2, 2), (3, 1))]
        answers = await asyncio.gather(*(client.post("/predict", json=body) for body in bodies))
        lines = (await client.get("/metrics")).text.splitlines()
    assert [answer.json()["outputs"]["sum"] for answer in answers] == [[[1.0]], [[2.0], [2.0]], [[3.0]]]
    assert 'lepton_serving_batch_items_count{handler="digits"} 1' in lines
    assert 'lepton_serving_batch_items_sum{handler="digits"} 4' in lines


async def test_inputs_of_different_lengths_fail_alone(tmp_path: Path) -> None:
    async with serving(save_adder(tmp_path / "adder.onnx")) as client:
        wrong, right = await asyncio.gather(
            client.post("/predict", json={"inputs": {"a": [1, 2], "b": [1, 2, 3]}}),
            client.post("/predict", json={"inputs": {"a": [1, 2], "b": [3, 4]}}),
        )
    assert wrong.status_code == 422
    assert "cannot run on these inputs" in wrong.json()["detail"]
    assert right.json() == {"outputs": {"total": [4, 6]}}


async def test_a_model_that_drops_rows_says_to_turn_batching_off(tmp_path: Path) -> None:
    async with serving(save_collapsing(tmp_path / "first.onnx"), FILL) as client:
        answers = await asyncio.gather(*(client.post("/predict", json=[[1, 2], [3, 4]]) for _ in range(2)))
    assert [answer.status_code for answer in answers] == [500, 500]
    assert "output 'first' has shape (1, 2)" in answers[0].json()["detail"]
    assert "--max-batch-size 1" in answers[0].json()["hint"]
