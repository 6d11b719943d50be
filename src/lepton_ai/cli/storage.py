"""`lepton storage`: copy, list, print and remove objects of buckets, at `bucket://BUCKET/NAME`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from lepton_ai.cli.moment import age
from lepton_ai.cli.output import is_terminal, print_json, print_table
from lepton_ai.cli.session import session_of
from lepton_ai.errors import InvalidInput

if TYPE_CHECKING:
    from lepton_ai.sdk.client import LeptonAI
    from lepton_ai.sdk.copying import Address

Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Everything below.")]
Where = Annotated[str, typer.Argument(metavar="BUCKET://NAME", help="bucket://BUCKET/NAME", show_default=False)]
Source = Annotated[str, typer.Argument(metavar="SOURCE", help="A file, or bucket://BUCKET/NAME.", show_default=False)]
Target = Annotated[str, typer.Argument(metavar="TARGET", help="A file, or bucket://BUCKET/NAME.", show_default=False)]

app = typer.Typer()


@app.command("ls")
def list_objects(context: typer.Context, where: Where, recursive: Recursive = False) -> None:
    """List the objects of a bucket, one folder at a time.

    \b
    Example:
      lepton storage ls bucket://datasets/
      lepton storage ls -r bucket://datasets/digits/
    """
    session = session_of(context)
    client, address = session.connect(), _address(where)
    bucket = client.bucket(address.bucket)
    if recursive:
        folders: list[str] = []
        entries = sorted(bucket.list(address.name), key=lambda one: one.name)
    else:
        folder = address.name if address.is_folder else f"{address.name}/"
        folders, entries = bucket.list_folder(folder)
    if session.is_json:
        listed = [{"name": one.name, "size": one.size, "modified_at": one.modified_at.isoformat()} for one in entries]
        print_json([*({"folder": name} for name in folders), *listed])
        return
    rows = [(name, "", "") for name in folders]
    rows += [(one.name, _bytes(one.size), age(one.modified_at)) for one in entries]
    print_table(("NAME", "SIZE>", "CHANGED AGO>"), rows, empty=f"There is nothing at {address}.")


@app.command("cp")
def copy(
    context: typer.Context,
    source: Source,
    target: Target,
    recursive: Recursive = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="With -r, leave out what is there already with the same size.")
    ] = False,
) -> None:
    """Copy files into a bucket, out of it, or between buckets.

    \b
    Example:
      lepton storage cp model.onnx bucket://models/digits/
      lepton storage cp -r bucket://datasets/digits data
      lepton storage cp -r --resume data bucket://datasets/digits
    """
    session = session_of(context)
    if resume and not recursive:
        raise typer.BadParameter("--resume goes with --recursive: one object is copied whole or not at all.")
    copied, size = _copy(session.connect(), source, target, recursive=recursive, resume=resume)
    if session.is_json:
        print_json({"copied": copied, "bytes": size})
        return
    typer.echo(f"{_objects(copied)} copied, {_bytes(size)}.")


@app.command("mv")
def move(context: typer.Context, source: Source, target: Target, recursive: Recursive = False) -> None:
    """Move objects: copy them, and delete the sources once everything is there.

    \b
    Example:
      lepton storage mv bucket://models/digits.onnx bucket://models/old/
    """
    from lepton_ai.sdk.copying import Address, parse_place, plan_copies

    session = session_of(context)
    client, place = session.connect(), parse_place(source)
    if not isinstance(place, Address):
        raise typer.BadParameter("only objects are moved; copy a file with cp, and delete it yourself.")
    if place == parse_place(target):
        raise InvalidInput(f"{source} is there already.", hint="Name another place.")
    names = [str(one.source.name) for one in plan_copies(client, place, place, recursive=recursive)]
    copied, size = _copy(client, source, target, recursive=recursive)
    client.bucket(place.bucket).delete(*names)
    if session.is_json:
        print_json({"moved": copied, "bytes": size})
        return
    typer.echo(f"{_objects(copied)} moved, {_bytes(size)}.")


@app.command("rm")
def remove(context: typer.Context, where: Where, recursive: Recursive = False) -> None:
    """Delete an object, or everything below a folder.

    \b
    Example:
      lepton storage rm bucket://models/old/digits.onnx
      lepton storage rm -r bucket://models/old/
    """
    session = session_of(context)
    client, address = session.connect(), _address(where)
    bucket = client.bucket(address.bucket)
    if not recursive and address.is_folder:
        raise typer.BadParameter(f"{address} stands for everything below it: add --recursive.")
    if recursive:
        names = [one.name for one in bucket.list(address.name)]
    else:
        bucket.open(address.name).close()  # one that is not there is told of
        names = [address.name]
    bucket.delete(*names)
    if session.is_json:
        print_json({"deleted": len(names)})
        return
    typer.echo(f"{_objects(len(names))} deleted.")


@app.command("du")
def disk_usage(context: typer.Context, where: Where) -> None:
    """Add up what lies below an address.

    \b
    Example:
      lepton storage du bucket://datasets/
    """
    session = session_of(context)
    client, address = session.connect(), _address(where)
    count = size = 0
    for entry in client.bucket(address.bucket).list(address.name):
        count, size = count + 1, size + max(0, entry.size)
    if session.is_json:
        print_json({"objects": count, "bytes": size})
        return
    typer.echo(f"{_objects(count)}, {_bytes(size)}.")


@app.command("cat")
def print_object(context: typer.Context, where: Where) -> None:
    """Print an object's content.

    \b
    Example:
      lepton storage cat bucket://datasets/train.csv | head
    """
    client, address = session_of(context).connect(), _address(where)
    with client.bucket(address.bucket).open(address.name) as file:
        shutil.copyfileobj(file, sys.stdout.buffer, 1024 * 1024)
    sys.stdout.buffer.flush()


def _copy(client: LeptonAI, source: str, target: str, *, recursive: bool, resume: bool = False) -> tuple[int, int]:
    from lepton_ai.sdk.copying import carry_out, parse_place, plan_copies, still_missing

    copies = plan_copies(client, parse_place(source), parse_place(target), recursive=recursive)
    if resume:
        copies = still_missing(client, copies, parse_place(target))
    expected, done = sum(one.size for one in copies), 0

    def told(more: int) -> None:
        nonlocal done
        done += more
        advance(more)

    with _bar(f"{_objects(len(copies))}", expected) as advance:
        carry_out(client, copies, told)
    return len(copies), done


@contextmanager
def _bar(what: str, expected: int) -> Iterator[Callable[[int], None]]:
    """Give a function that moves a bar on stderr; at no terminal it says nothing."""
    if not is_terminal(sys.stderr):
        yield lambda more: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from lepton_ai.cli.output import console

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console(sys.stderr), transient=True) as progress:
        task = progress.add_task(what, total=expected or None)
        yield lambda more: progress.advance(task, more)


def _address(text: str) -> Address:
    from lepton_ai.sdk.copying import Address, parse_place

    place = parse_place(text)
    if not isinstance(place, Address):
        raise typer.BadParameter(f"{text!r} names no bucket: write bucket://BUCKET/NAME.")
    return place


def _objects(count: int) -> str:
    return f"{count:,} object{'' if count == 1 else 's'}"


def _bytes(size: int) -> str:
    from lepton_ai.types.quantity import format_bytes

    return "?" if size < 0 else format_bytes(size)
