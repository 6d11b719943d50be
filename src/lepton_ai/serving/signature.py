"""A handler's signature: how its body is read, and what its result looks like."""

from __future__ import annotations

import collections.abc
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, Required

from pydantic import ConfigDict, Field, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python
from typing_extensions import TypedDict

from lepton_ai.errors import InvalidInput
from lepton_ai.serving.problems import invalid_body

_STREAMS = frozenset(
    {
        collections.abc.Iterator,
        collections.abc.Iterable,
        collections.abc.Generator,
        collections.abc.AsyncIterator,
        collections.abc.AsyncIterable,
        collections.abc.AsyncGenerator,
    }
)
_STREAMED_ITERABLES = frozenset({collections.abc.Iterable, collections.abc.AsyncIterable})


@dataclass(frozen=True, slots=True)
class Signature:
    """What one handler takes and gives. `returns` describes one item where `is_stream`."""

    parameters: TypeAdapter[dict[str, Any]]
    names: tuple[str, ...]
    returns: TypeAdapter[Any]
    is_stream: bool
    description: str

    def read(self, body: bytes) -> dict[str, Any]:
        """Return the arguments that `body` holds; raises Refusal. Absent ones are left to Python's own defaults."""
        try:
            return self.parameters.validate_json(body or b"{}")
        except ValidationError as error:
            raise invalid_body(error, self.names) from error


def read_signature(name: str, method: Callable[..., object], *, is_batched: bool) -> Signature:
    """Read the annotations of `method`; raises InvalidInput where they cannot be served."""
    try:
        hints = typing.get_type_hints(method, include_extras=True)
    except NameError as error:
        raise InvalidInput(
            f"Handler {name!r} has an annotation that cannot be resolved: {error}.",
            hint="Import the type at run time, not only under TYPE_CHECKING.",
        ) from error
    found = [_checked(name, each) for each in inspect.signature(method).parameters.values()]
    returns = hints.get("return", Any)
    is_stream = _is_stream(method, returns)
    if is_batched:
        _check_batched(name, found, hints, is_stream=is_stream)
    return Signature(
        parameters=_body_adapter(name, found, hints),
        names=tuple(each.name for each in found),
        returns=_result_adapter(_item_of(returns) if is_stream else returns),
        is_stream=is_stream,
        description=inspect.getdoc(method) or "",
    )


def _checked(name: str, parameter: inspect.Parameter) -> inspect.Parameter:
    if parameter.kind not in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
        raise InvalidInput(
            f"Handler {name!r} takes {parameter}, which has no name in a JSON object.",
            hint="Give every parameter a name of its own.",
        )
    return parameter


def _check_batched(
    name: str, parameters: Sequence[inspect.Parameter], hints: Mapping[str, Any], *, is_stream: bool
) -> None:
    if is_stream:
        raise InvalidInput(f"Handler {name!r} streams, so its calls cannot be batched.", hint="Drop max_batch_size.")
    if not parameters:
        raise InvalidInput(f"Handler {name!r} takes nothing that could be batched.", hint="Drop max_batch_size.")
    for each in parameters:
        kind = hints.get(each.name)
        if kind is not list and typing.get_origin(kind) is not list:
            raise InvalidInput(
                f"Parameter {each.name!r} of the batched handler {name!r} is not annotated as a list.",
                hint=f"Write {each.name}: list[...], one element per item, or drop max_batch_size.",
            )
        if each.default is not inspect.Parameter.empty:
            raise InvalidInput(
                f"Parameter {each.name!r} of the batched handler {name!r} has a default.",
                hint="Calls are joined list by list, so each must carry every list: drop the default.",
            )


def _is_stream(method: Callable[..., object], returns: Any) -> bool:
    if inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
        return True
    return typing.get_origin(returns) in _STREAMS - _STREAMED_ITERABLES


def _item_of(returns: Any) -> Any:
    arguments = typing.get_args(returns)
    return arguments[0] if arguments and typing.get_origin(returns) in _STREAMS else Any


def _body_adapter(
    name: str, parameters: Sequence[inspect.Parameter], hints: Mapping[str, Any]
) -> TypeAdapter[dict[str, Any]]:
    fields = {each.name: _field(each, hints.get(each.name, Any)) for each in parameters}
    # A TypedDict and not a model: any parameter name is allowed ("schema", "copy"), and validation gives the keyword
    # arguments at once, without an object in between.
    make: Any = TypedDict
    body = make(f"{name}_body", fields)
    body.__pydantic_config__ = ConfigDict(extra="forbid")
    try:
        return TypeAdapter(body)
    except PydanticUserError as error:
        raise InvalidInput(
            f"Handler {name!r} has a parameter that cannot be read from JSON: {str(error).splitlines()[0]}",
            hint="Take lists, numbers, strings, dataclasses or pydantic models, and convert inside.",
        ) from error


def _field(parameter: inspect.Parameter, hint: Any) -> Any:
    if parameter.default is inspect.Parameter.empty:
        return Required[hint]
    try:
        shown = {"default": to_jsonable_python(parameter.default)}
    except PydanticSerializationError:
        shown = {}
    return NotRequired[Annotated[hint, Field(json_schema_extra=shown)]]


def _result_adapter(returns: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(returns)
    except PydanticUserError:
        # An array or a class of the user's own: it is encoded by its `tolist`, and its schema says "anything".
        return TypeAdapter(Any)
