"""The options that `run` and `endpoint create` share, and what they mean to the SDK."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

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
    cpu: float | None, memory: str | None, gpu: str | None, accelerator: str | None
) -> dict[str, object] | None:
    """Return the resources that were asked for; None leaves all to the defaults."""
    if gpu and accelerator:
        raise typer.BadParameter("say either --gpu or --accelerator, not both.")
    said = {"cpu": cpu, "memory": memory, "gpu": gpu, "accelerator": accelerator}
    return {name: value for name, value in said.items() if value is not None} or None


def requirements_of(given: Sequence[str] | None, file: Path | None) -> list[str]:
    """Return the packages of the options and of the file, without its comments."""
    return [*(given or ()), *(_read_requirements(file) if file else ())]


def env_of(given: Sequence[str] | None) -> dict[str, str]:
    return read_pairs("--env", given or ())


def secrets_of(given: Sequence[str] | None) -> dict[str, str]:
    return read_pairs("--secret", given or ())


def _read_requirements(file: Path) -> Iterator[str]:
    if file.stat().st_size > REQUIREMENTS_BYTES_MAX:
        raise typer.BadParameter(f"{file} has more than {REQUIREMENTS_BYTES_MAX:,} bytes.")
    for line in file.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        requirement = line.partition(" #")[0].strip()
        if requirement and not requirement.startswith("#"):
            yield requirement
