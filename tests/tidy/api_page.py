"""The reference page of the REST API, docs/api.md: one line per operation, read from the application itself.

`python -m tests.tidy.api_page` writes it; tests/unit/api/test_api_page.py fails when it is stale.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from lepton_ai import errors
from lepton_ai.api.openapi import document
from tests.tidy.source import ROOT
from tests.unit.api.platform import Platform

ONLY_CLIENTS = {"job_failed", "timed_out"}  # raised by the SDK, never sent
PAGE = ROOT / "docs" / "api.md"
HEAD = """# The REST API

<!-- written by `python -m tests.tidy.api_page` from the application -->

Everything that the CLI and the SDK do, they do through this API, which is at the address that `lepton status` prints.
The core serves its whole description, schemas included, as OpenAPI 3.1 at `/api/v1/openapi.json`, and a page to try it
at `/api/docs`.

- **Tokens.** Each request carries `Authorization: Bearer TOKEN`. *Needs* is the least role, and where it must be held:
  in the project of the URL, over the whole platform (`*`), or anywhere.
- **Objects** have `kind`, `metadata`, `spec` (what is wanted) and `status` (what is seen). A request sends `metadata`
  (`name`, `labels`) and `spec`; a field that is not known is refused.
- **Pages** are `{"items": [...], "next": "CURSOR"}`. Lists of objects come newest first and go on with
  `?before=CURSOR`, events and audit records oldest first with `?after=CURSOR`; `limit` is 1 to 1000.
- **Streams** are server-sent events. A watch goes on from `?since=ID`, a log from `?cursor=ID`, events from
  `?after=ID`, where ID is that of the last event that had one. They end when their token does.
- **Errors** are problem details (RFC 9457, `application/problem+json`) with a stable `code`, the fact in `detail`, the
  next step in `hint`, and for 422 the places that are wrong in `errors`. Nothing was changed by a refused request.
- **Limits.** A body is JSON of at most 4 MiB (setting `body_bytes_max`), nested at most 64 deep, without NUL characters
  and with numbers of at most 64 bits; an upload has at most 512 MiB (`bundle_bytes_max`).
"""
CODES = """
## Codes

| code | status | means |
|---|---|---|
"""


def render_page(app: FastAPI) -> str:
    """Return the page as Markdown: a table of operations for each noun, and one of error codes."""
    nouns: dict[str, list[str]] = {}
    for path, methods in sorted(document(app)["paths"].items()):
        for method, operation in methods.items():
            nouns.setdefault(operation["tags"][0], []).append(_row(path, method.upper(), operation))
    sections = [_section(noun, rows) for noun, rows in sorted(nouns.items())]
    return HEAD + "".join(sections) + CODES + "\n".join(_codes()) + "\n"


def _section(noun: str, rows: Sequence[str]) -> str:
    title = f"\n## {noun.capitalize()}\n\n"
    return title + "| operation | request | needs | |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"


def _row(path: str, method: str, operation: Mapping[str, Any]) -> str:
    permission = operation["x-permission"]
    scope, role = permission["scope"], permission["role"]
    places = {"project": "in the project", "platform": "of the platform", "anywhere": "anywhere"}
    needs = "to be that machine" if scope == "node" else f"{role} {places[scope]}"
    told = operation["description"].partition("\n")[0]
    return f"| {operation['operationId']} | `{method} {path}` | {needs} | {told} |"


def _codes() -> Sequence[str]:
    kinds = [errors.LeptonError, *_below(errors.LeptonError)]
    return [f"| `{kind.code}` | {kind.http_status} | {_first_line(kind)} |" for kind in kinds if _is_sent(kind)]


def _below(kind: type[Exception]) -> list[Any]:
    return [found for child in kind.__subclasses__() for found in (child, *_below(child))]


def _is_sent(kind: Any) -> bool:
    return (
        "code" in vars(kind) and kind.__module__ == "lepton_ai.errors" and kind.code not in {"job_failed", "timed_out"}
    )


def _first_line(kind: type[Exception]) -> str:
    return (kind.__doc__ or "").partition("\n")[0] if kind.__name__ != "LeptonError" else "The platform made a mistake."


def main(page: Path = PAGE) -> None:
    with tempfile.TemporaryDirectory() as folder:
        platform = Platform(Path(folder))
        page.write_text(render_page(platform.app))
        platform.close()


if __name__ == "__main__":
    main()
