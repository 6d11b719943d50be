"""Which requirement lines may reach an installer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_ai.errors import InvalidInput
from lepton_ai.node.requirements import parse_requirements


def test_the_same_set_has_one_normal_form() -> None:
    first = parse_requirements(["NumPy >= 2 , < 3", "torch==2.13.0", "# a note", "", "ruamel.yaml[jinja2, extra]"])
    second = parse_requirements(
        ["torch == 2.13.0  # pinned", "ruamel_yaml[extra,jinja2]", "numpy<3,>=2", "numpy<3,>=2"]
    )

    assert first == second == ("numpy<3,>=2", "ruamel-yaml[extra,jinja2]", "torch==2.13.0")


@pytest.mark.parametrize(
    "line", ["six; python_version > '3'", "pip @ https://example.org/pip.whl", "a @ git+https://example.org/a@v1"]
)
def test_markers_and_https_addresses_are_allowed(line: str) -> None:
    assert len(parse_requirements([line])) == 1


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("-r /etc/passwd", "option of an installer"),
        ("--index-url=https://evil.example", "option of an installer"),
        ("-e .", "option of an installer"),
        ("six\n--index-url https://evil.example", "characters that none may have"),
        ("six @ https://example.org/${LEPTON_TOKEN}", "characters that none may have"),
        ("file:///etc/passwd", "is not a requirement"),
        ("./local", "is not a requirement"),
        ("/etc/passwd", "is not a requirement"),
        ("six --hash=sha256:00", "is not a requirement"),
        ("six==", "is not a requirement"),
        ("a" * 1001, "too long"),
        ("six @ file:///tmp/six.whl", "comes from file"),
        ("six @ http://example.org/six.whl", "comes from http"),
        ("six @ git+ssh://git@example.org/six", "comes from git"),
        ("six @ https://user:secret@example.org/six.whl", "user name or password"),
    ],
)
def test_anything_else_is_refused(line: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why) as refusal:
        parse_requirements([line])

    assert "user:secret" not in str(refusal.value)


def test_too_many_are_refused() -> None:
    with pytest.raises(InvalidInput, match="more than 1,000"):
        parse_requirements(f"package{number}" for number in range(2000))


@given(st.lists(st.text(max_size=40), max_size=3))
def test_what_is_accepted_is_one_line_that_is_no_option_and_stays_as_it_is(lines: list[str]) -> None:
    def accepted() -> tuple[str, ...]:
        try:
            return parse_requirements(lines)
        except InvalidInput:
            return ()

    found = accepted()

    assert parse_requirements(found) == found
    assert not any(line.startswith(("-", "#")) or "\n" in line for line in found)
