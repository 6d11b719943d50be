"""`lepton bucket`: where objects are kept, sealed."""

from __future__ import annotations

from typing import Annotated

import typer

from lepton_ai.cli.moment import age
from lepton_ai.cli.output import print_json, print_table
from lepton_ai.cli.session import session_of

BucketName = Annotated[str, typer.Argument(metavar="NAME", help="The bucket's name.", show_default=False)]

app = typer.Typer()


@app.command("create")
def create_bucket(
    context: typer.Context,
    name: BucketName,
    description: Annotated[str, typer.Option(help="What it is for.", show_default=False)] = "",
) -> None:
    """Create a bucket.

    \b
    Example:
      lepton bucket create datasets
      lepton storage cp train.csv bucket://datasets/
    """
    session = session_of(context)
    bucket = session.connect().buckets.create(name, description=description)
    if session.is_json:
        print_json(bucket)
        return
    typer.echo(f"Bucket {name} is there. Put something in it: lepton storage cp FILE bucket://{name}/")


@app.command("list")
def list_buckets(context: typer.Context) -> None:
    """List buckets, newest first.

    \b
    Example:
      lepton bucket list
    """
    session = session_of(context)
    buckets = list(session.connect().buckets.each())
    if session.is_json:
        print_json(buckets)
        return
    rows = ((one.name, one.status.state.value, age(one.metadata.created_at), one.spec.description) for one in buckets)
    print_table(
        ("NAME", "STATE", "CREATED AGO>", "WHAT FOR"),
        rows,
        empty="There are no buckets. Make one: lepton bucket create NAME",
    )


@app.command("delete")
def delete_bucket(
    context: typer.Context,
    name: BucketName,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Delete what it holds, too.")] = False,
) -> None:
    """Delete a bucket; one that holds objects only with --recursive, and then for good.

    \b
    Example:
      lepton bucket delete datasets
    """
    session = session_of(context)
    client = session.connect()
    if not recursive and next(client.bucket(name).list(), None) is not None:
        raise typer.BadParameter(f"the bucket {name} holds objects; --recursive deletes them, too, for good.")
    deleted = client.buckets.delete(name)
    if session.is_json:
        print_json(deleted)
        return
    typer.echo(f"Bucket {name} is being deleted.")


@app.command("rotate-key")
def rotate_key(context: typer.Context) -> None:
    """Give the project a new version of its key for all that is written from now on.

    \b
    Example:
      lepton bucket rotate-key
    """
    session = session_of(context)
    version = session.connect().buckets.rotate_key()
    if session.is_json:
        print_json({"version": version})
        return
    typer.echo(f"What is written from now on is sealed under version {version}. Older objects stay readable.")
