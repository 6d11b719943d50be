"""What a signature must be to be served, and the sentence when it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lepton_ai.errors import InvalidInput
from lepton_ai.serving.problems import Refusal
from lepton_ai.serving.signature import read_signature


def greet(name: str, times: int = 2) -> str:
    """Say hello.

    More than once.
    """
    return name * times


def spread(*numbers: int) -> int: ...  # type: ignore[empty-body]


def array(image: np.ndarray[Any, Any]) -> int: ...  # type: ignore[empty-body]


def scalar(number: int) -> list[int]: ...  # type: ignore[empty-body]


def defaulted(numbers: list[int], more: list[int] = []) -> list[int]: ...  # type: ignore[empty-body] # noqa: B006


def nothing() -> list[int]: ...  # type: ignore[empty-body]


def test_absent_arguments_are_left_to_the_defaults_of_the_function() -> None:
    signature = read_signature("greet", greet, is_batched=False)
    assert signature.read(b'{"name": "a"}') == {"name": "a"}


def test_an_empty_body_counts_as_no_arguments() -> None:
    assert read_signature("nothing", nothing, is_batched=False).read(b"") == {}


def test_parameters_may_have_any_name() -> None:
    def odd(schema: int, copy: int, model_config: int) -> None: ...

    signature = read_signature("odd", odd, is_batched=False)
    assert signature.read(b'{"schema": 1, "copy": 2, "model_config": 3}') == {"schema": 1, "copy": 2, "model_config": 3}


def test_an_unknown_parameter_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Refusal) as caught:
        read_signature("greet", greet, is_batched=False).read(b'{"name": "a", "tmes": 1}')
    assert caught.value.http_status == 422
    assert caught.value.errors[0].pointer == "#/tmes"
    assert "known: name, times" in caught.value.errors[0].detail


def test_a_body_that_is_no_object_is_told_what_to_be() -> None:
    with pytest.raises(Refusal, match="must be a JSON object with the parameters: name, times"):
        read_signature("greet", greet, is_batched=False).read(b"[1]")


def test_many_wrong_fields_are_cut_to_a_short_answer() -> None:
    def total(numbers: list[int]) -> int: ...  # type: ignore[empty-body]

    with pytest.raises(Refusal) as caught:
        read_signature("total", total, is_batched=False).read(b'{"numbers": [' + b",".join([b'"x"'] * 1000) + b"]}")
    assert len(caught.value.errors) == 20
    assert "and 997 more" in caught.value.message


@pytest.mark.parametrize(
    ("method", "is_batched", "sentence"),
    [
        (spread, False, "has no name in a JSON object"),
        (array, False, "cannot be read from JSON"),
        (scalar, True, "not annotated as a list"),
        (defaulted, True, "has a default"),
        (nothing, True, "takes nothing that could be batched"),
    ],
)
def test_a_signature_that_cannot_be_served_is_refused(method: Any, is_batched: bool, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        read_signature(method.__name__, method, is_batched=is_batched)


def test_an_annotation_that_cannot_be_resolved_is_refused() -> None:
    def lost(value: Missing) -> None: ...  # type: ignore[name-defined] # noqa: F821

    with pytest.raises(InvalidInput, match="Missing"):
        read_signature("lost", lost, is_batched=False)
