"""docs/api.md tells of the API as it is."""

from __future__ import annotations

from tests.tidy.api_page import PAGE, render_page
from tests.unit.api.platform import Platform
from tests.unit.api.surface import doors


def test_the_reference_page_is_up_to_date(shared: Platform) -> None:
    fresh = PAGE.exists() and PAGE.read_text() == render_page(shared.app)
    assert fresh, "docs/api.md:1: it is stale: run `python -m tests.tidy.api_page`"


def test_the_page_has_a_line_for_each_operation(shared: Platform) -> None:
    page = render_page(shared.app)
    assert [str(door) for door in doors(shared.app) if f"| `{door}` |" not in page] == []
    assert "| `too_large` | 413 |" in page
