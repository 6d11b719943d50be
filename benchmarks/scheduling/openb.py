"""The openb trace: the GPU nodes of a production cluster, and the pods that were sent to it, in several mixes.

Source: Weng et al., "Beware of Fragmentation" (ATC 2023), cluster-trace-gpu-v2023 of Alibaba and its resampled mixes.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

WHOLE = 1000  # thousandths of one GPU


class Machine(NamedTuple):
    """A node: all that it has."""

    cpu_milli: int
    memory_mib: int
    gpus: int
    model: str


class Shape(NamedTuple):
    """What pods ask for alike. Memory is part of it; `models` is empty where any GPU will do."""

    cpu_milli: int
    memory_mib: int
    gpus: int
    gpu_milli: int  # of each GPU; WHOLE unless the pod shares one
    models: frozenset[str] = frozenset()

    @property
    def gpu_milli_total(self) -> int:
        return self.gpus * self.gpu_milli


class Pod(NamedTuple):
    """One pod of the trace. `seconds` is how long it held its resources, None if it never ran."""

    shape: Shape
    quality: str  # LS, Guaranteed, Burstable or BE
    seconds: int | None


def read_machines(folder: Path) -> Sequence[Machine]:
    """Return the nodes with GPUs, in the order of the file."""
    rows = _rows(folder / "openb_node_list_gpu_node.csv.gz")
    return [Machine(int(r["cpu_milli"]), int(r["memory_mib"]), int(r["gpu"]), r["model"]) for r in rows]


def read_pods(folder: Path, mix: str) -> Sequence[Pod]:
    """Return the pods of a mix ("default", "multigpu30", ...), in the order of the file."""
    return [_pod(row) for row in _rows(folder / f"openb_pod_list_{mix}.csv.gz")]


def mixes(folder: Path) -> Sequence[str]:
    """Return the names of the mixes that `folder` holds."""
    found = folder.glob("openb_pod_list_*.csv.gz")
    return sorted(path.name.removeprefix("openb_pod_list_").removesuffix(".csv.gz") for path in found)


def _rows(path: Path) -> Sequence[dict[str, str]]:
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file))


def _pod(row: dict[str, str]) -> Pod:
    models = frozenset(filter(None, (row.get("gpu_spec") or "").split("|")))
    gpus = int(row["num_gpu"])
    shape = Shape(int(row["cpu_milli"]), int(row["memory_mib"]), gpus, int(row["gpu_milli"]) if gpus else 0, models)
    began, ended = row.get("scheduled_time") or "", row.get("deletion_time") or ""
    seconds = int(float(ended)) - int(float(began)) if began and ended else None
    return Pod(shape, row.get("qos") or "", seconds)
