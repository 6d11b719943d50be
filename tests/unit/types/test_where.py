"""Conditions on the labels of nodes, as people write them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from lepton_ai.types.resources import Resources
from lepton_ai.types.where import Condition, check_label, read_condition, read_where


def test_a_condition_names_values_that_will_do_or_that_will_not() -> None:
    assert read_condition("site=paris|berlin") == Condition("site", ("berlin", "paris"))
    assert read_condition("rack!=r3") == Condition("rack", ("r3",), is_not=True)
    assert str(read_condition(" site = paris | berlin ")) == "site=berlin|paris"


def test_a_node_without_the_label_is_elsewhere() -> None:
    assert read_condition("site!=berlin").is_met({})
    assert not read_condition("site=berlin").is_met({})


def test_the_order_of_conditions_says_nothing() -> None:
    assert read_where(("b=2", "a=1", "b=2")) == read_where(("a=1", "b=2"))


@pytest.mark.parametrize(
    "text", ["site", "=berlin", "site=", "si te=berlin", "site=a b", "site=a||b", "a=" + "x" * 2000]
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a place|not a label's"):
        read_condition(text)


@pytest.mark.parametrize(("key", "value"), [("node", "n1"), ("-a", "x"), ("a b", "x"), ("a", ""), ("a", "x|y")])
def test_a_label_that_no_condition_could_name_is_refused(key: str, value: str) -> None:
    with pytest.raises(ValueError, match="label"):
        check_label(key, value)


def test_resources_take_one_condition_or_several() -> None:
    assert Resources.model_validate({"where": "site=berlin"}).where == ("site=berlin",)
    assert Resources.model_validate({"where": ["site=b|a", "rack!=r3"]}).where == ("site=a|b", "rack!=r3")
    with pytest.raises(ValidationError, match="is not a place"):
        Resources.model_validate({"where": "berlin"})
