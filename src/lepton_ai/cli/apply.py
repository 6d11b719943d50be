"""`lepton apply`: jobs and endpoints as a YAML file describes them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lepton_ai.cli.output import print_json
from lepton_ai.cli.session import session_of
from lepton_ai.errors import InvalidInput, LeptonError

STDIN = "-"

app = typer.Typer()


@app.command("apply")
def apply(
    context: typer.Context,
    file: Annotated[str, typer.Option("--file", "-f", metavar="FILE|-", help="YAML; - is standard input.")],
) -> None:
    """Create or update what a YAML file describes.

    Several documents are applied in order. `metadata.name` says what is updated.

    \b
    Example:
      lepton apply -f job.yaml
    \b
      kind: job
      metadata: {name: train}
      spec:
        command: [python, train.py]
        resources: {cpu: 2, memory: 4GB}
    """
    from lepton_ai.cli.yaml_documents import parse_documents

    session = session_of(context)
    source = "Standard input" if file == STDIN else file
    documents = parse_documents(_read(file, source), source)
    client = session.connect()
    applied = []
    for number, document in enumerate(documents, 1):
        try:
            (handle,) = client.apply([document])
        except LeptonError as error:
            if len(documents) == 1:
                raise
            done = f" {number - 1} before it are applied." if number > 1 else ""
            raise type(error)(f"Document {number} of {source}: {error.message}{done}", hint=error.hint) from error
        applied.append(handle.object)
        if not session.is_json:
            typer.echo(f"{handle.object.KIND} {handle.name} is {handle.state}")
    if session.is_json:
        print_json(applied)


def _read(file: str, source: str) -> bytes:
    """Read one byte more than is allowed at most, however large the file is."""
    from lepton_ai.cli.yaml_documents import YAML_BYTES_MAX

    try:
        if file == STDIN:
            content = sys.stdin.buffer.read(YAML_BYTES_MAX + 1)
        else:
            with Path(file).open("rb") as opened:
                content = opened.read(YAML_BYTES_MAX + 1)
    except OSError as error:
        raise InvalidInput(f"{source} cannot be read: {error.strerror or error}.") from error
    return content
