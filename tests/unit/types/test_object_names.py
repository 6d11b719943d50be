"""What may name an object: what every store can hold, and nothing that leads out of its bucket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_ai.types.bucket import check_object_name


@pytest.mark.parametrize(
    "name", ["a", "a/b/c.txt", "数据/手写.csv", "with space", "a..b", "x" * 240, "a=1/b=2.parquet", "#1a"]
)
def test_names_that_people_use_are_taken(name: str) -> None:
    assert check_object_name(name) == name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "0 bytes"),
        ("x" * 10_000, "10,000 bytes"),
        ("字" * 400, "1,200 bytes"),
        ("../secret", "`..`"),
        ("a/../../b", "`..`"),
        ("a/./b", "`.`"),
        ("/etc/passwd", "empty"),
        ("a//b", "empty"),
        ("a/", "empty"),
        ("a\0b", "cannot be printed"),
        ("a\nb", "cannot be printed"),
        ("a\\b", "backslash"),
        ("x" * 241, "241 bytes"),
        ("part#12", "`#` and digits"),
        ("\ud800", "cannot be printed"),
    ],
)
def test_other_names_are_refused_with_the_rule(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_object_name(name)


@given(st.text(max_size=40))
def test_no_name_leads_out_of_its_bucket(name: str) -> None:
    try:
        taken = check_object_name(name)
    except ValueError:
        taken = "inside"
    assert not {"", ".", ".."}.intersection(taken.split("/"))
