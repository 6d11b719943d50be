"""The options that `run` and `endpoint create` share, and what they mean to the SDK."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypedDict

import typer

from lepton_ai.cli.pairs import read_pairs

REQUIREMENTS_BYTES_MAX = 1024 * 1024  # 1,000 lines, the core's own bound, are 50 kB

Cpu = Annotated[float | None, typer.Option(min=0.001, help="CPUs of each replica, such as 0.5 or 4.  [default: 1]")]
Memory = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Memory of each replica; a limit that holds.  [default: 512MB]")
]
Gpu = Annotated[
    str | None, typer.Option(metavar="SPEC", help="1, 0.5, h100:2, 24GB..80GB:1: count, share, kind or memory range.")
]
Accelerator = Annotated[
    str | None, typer.Option(metavar="SPEC", help="As --gpu, for any kind of device: ascend:1, tpu:4.")
]
Where = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Only nodes with that label: site=berlin|paris, rack!=r3. Repeatable."),
]
Env = Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="An environment variable. Repeatable.")]
Secret = Annotated[
    list[str] | None, typer.Option(metavar="ENV=NAME", help="A variable that gets a stored secret. Repeatable.")
]
Requirement = Annotated[
    list[str] | None, typer.Option(metavar="SPEC", help="A Python package, as pip takes it. Repeatable.")
]
Requirements = Annotated[
    Path | None,
    typer.Option("--requirements", metavar="FILE", exists=True, dir_okay=False, help="A file of Python packages."),
]
Workdir = Annotated[
    str, typer.Option(metavar="DIR|none", help="The folder that travels along; none sends nothing.  [default: .]")
]


def resources_of(
    cpu: float | None, memory: str | None, gpu: str | None, accelerator: str | None, where: Sequence[str] | None = None
) -> dict[str, object]:
    """Return the resources that were asked for; what is not there is left to the defaults."""
    if gpu and accelerator:
        raise typer.BadParameter("say either --gpu or --accelerator, not both.")
    said = {"cpu": cpu, "memory": memory, "gpu": gpu, "accelerator": accelerator, "where": where or None}
    return {name: value for name, value in said.items() if value is not None}


class Program(TypedDict):
    """What jobs and endpoints have in common, as the SDK names it."""

    env: Mapping[str, str]
    secrets: Mapping[str, str]
    requirements: Sequence[str]


def program_of(
    env: Sequence[str] | None, secret: Sequence[str] | None, requirement: Sequence[str] | None, file: Path | None
) -> Program:
    """Return environment, secrets by name, and the packages of the options and of the file, without its comments."""
    packages = [*(requirement or ()), *(_read_requirements(file) if file else ())]
    return {
        "env": read_pairs("--env", env or ()),
        "secrets": read_pairs("--secret", secret or ()),
        "requirements": packages,
    }


def _read_requirements(file: Path) -> Iterator[str]:
    if file.stat().st_size > REQUIREMENTS_BYTES_MAX:
        raise typer.BadParameter(f"{file} has more than {REQUIREMENTS_BYTES_MAX:,} bytes.")
    for line in file.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        requirement = line.partition(" #")[0].strip()
        if requirement and not requirement.startswith("#"):
            yield requirement
