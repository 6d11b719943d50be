"""A model over HTTP: the Open Inference Protocol v2 (KServe) as JSON, and a plain `POST /predict`.

Protocol: https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from importlib.metadata import version
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, NonNegativeInt, TypeAdapter, ValidationError
from pydantic_core import from_json

from lepton_ai.errors import InvalidInput
from lepton_ai.serving.app import HandlerOptions
from lepton_ai.serving.encoding import to_json
from lepton_ai.serving.http import Answer, Request, Response, Route
from lepton_ai.serving.metrics import Metrics
from lepton_ai.serving.problems import Refusal, invalid_body
from lepton_ai.serving.routes import common_routes, fixed
from lepton_ai.serving.runs import Runs
from lepton_ai.serving.runtimes.onnx import OnnxModel
from lepton_ai.serving.runtimes.tensor import Tensor, TensorSpec, datatype_of

VERSION = "1"  # a replica serves one version of its model; the endpoint's own history tells which


class InferInput(BaseModel):
    """One input tensor of an inference request."""

    name: str
    shape: list[NonNegativeInt]
    datatype: str
    data: list[Any]


class InferOutput(BaseModel):
    """One output that the caller wants."""

    name: str


class InferRequest(BaseModel):
    """The body of an inference request. Parameters, which the protocol leaves to servers, are passed over."""

    model_config = ConfigDict(extra="ignore")

    id: str | None = None
    inputs: list[InferInput]
    outputs: list[InferOutput] = []


Given = TypeVar("Given")
_INFER_REQUEST = TypeAdapter(InferRequest)


def model_routes(model: OnnxModel, options: HandlerOptions, pool: Executor, metrics: Metrics) -> dict[str, Route]:
    """Return the paths that serve `model`."""
    runs = Runs(model, options, pool, lambda items: metrics.batched(model.name, items))

    async def infer(request: Request) -> Answer:
        wanted = _read_infer(request.body)
        feeds = _feeds(model.inputs, {each.name: each for each in wanted.inputs}, _read_input)
        outputs = await runs.run(feeds)
        chosen = [each.name for each in wanted.outputs] or list(outputs)
        _refuse_unknown(chosen, [spec.name for spec in model.outputs], "output")
        answer: dict[str, object] = {"model_name": model.name, "model_version": VERSION}
        if wanted.id is not None:
            answer["id"] = wanted.id
        answer["outputs"] = [_output(name, outputs[name]) for name in chosen]
        return Response(to_json(answer))

    async def predict(request: Request) -> Answer:
        feeds = _feeds(model.inputs, _read_predict(request.body, model.inputs), TensorSpec.read)
        return Response(to_json({"outputs": await runs.run(feeds)}))

    ready, described = fixed(b'{"ready":true}'), fixed(to_json(_metadata(model)))
    routes = {
        "/v2": fixed(to_json({"name": "lepton-ai", "version": version("lepton-ai"), "extensions": []})),
        "/v2/health/live": fixed(b'{"live":true}'),
        "/v2/health/ready": ready,
        "/predict": Route("POST", predict, "predict"),
    }
    for path in (f"/v2/models/{model.name}", f"/v2/models/{model.name}/versions/{VERSION}"):
        routes |= {path: described, f"{path}/ready": ready, f"{path}/infer": Route("POST", infer, "infer")}
    listed = {"predict": f"Run {model.name}: {{'inputs': {{NAME: nested lists}}}}."}
    return common_routes(model.name, listed, metrics) | routes


def _read_infer(body: bytes) -> InferRequest:
    try:
        return _INFER_REQUEST.validate_json(body)
    except ValidationError as error:
        raise invalid_body(error, ("id", "inputs", "outputs")) from error


def _read_input(spec: TensorSpec, given: InferInput) -> Tensor:
    if given.datatype != spec.datatype:
        raise InvalidInput(
            f"Input {spec.name!r} has datatype {given.datatype}; the model takes {spec.datatype}.",
            hint="Convert it before sending.",
        )
    return spec.read(given.data, given.shape)


def _read_predict(body: bytes, inputs: Sequence[TensorSpec]) -> Mapping[str, object]:
    try:
        content = from_json(body)
    except ValueError as error:
        raise Refusal(400, f"The body is not JSON: {error}.", code="invalid_json") from error
    if isinstance(content, dict):
        if set(content) != {"inputs"}:
            raise InvalidInput(
                f"The body has the fields {', '.join(sorted(content)) or 'none'}.",
                hint='Send {"inputs": {NAME: nested lists}}.',
            )
        content = content["inputs"]
    if isinstance(content, dict):
        return content
    if len(inputs) == 1 and isinstance(content, list):
        return {inputs[0].name: content}
    names = ", ".join(spec.name for spec in inputs)
    raise InvalidInput("The inputs are not named.", hint=f'Send {{"inputs": {{NAME: nested lists}}}} with: {names}.')


def _feeds(
    specs: Sequence[TensorSpec], given: Mapping[str, Given], read: Callable[[TensorSpec, Given], Tensor]
) -> dict[str, Tensor]:
    _refuse_unknown(list(given), [spec.name for spec in specs], "input")
    missing = [spec.name for spec in specs if spec.name not in given]
    if missing:
        raise InvalidInput(f"The model needs the inputs: {', '.join(missing)}.", hint="Send every input.")
    return {spec.name: read(spec, given[spec.name]) for spec in specs}


def _refuse_unknown(given: Sequence[str], known: Sequence[str], role: str) -> None:
    for name in given:
        if name not in known:
            raise InvalidInput(f"The model has no {role} {name!r}.", hint=f"Known: {', '.join(known)}.")


def _output(name: str, array: Tensor) -> dict[str, object]:
    return {"name": name, "datatype": datatype_of(array), "shape": array.shape, "data": array.ravel()}


def _metadata(model: OnnxModel) -> dict[str, object]:
    return {
        "name": model.name,
        "versions": [VERSION],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": each.name, "datatype": each.datatype, "shape": each.shape} for each in model.inputs],
        "outputs": [{"name": each.name, "datatype": each.datatype, "shape": each.shape} for each in model.outputs],
    }
