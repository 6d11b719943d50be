"""The mounted block devices, and whatever holds the state folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from lepton_ai.types.node import Disk

DISKS_MAX = 64  # A storage server may mount hundreds; nobody reads more in a list.
# Read-only images that packages mount, and what a machine boots from: nobody keeps data there.
IMAGES = {"squashfs", "iso9660", "erofs"}
Partition = tuple[str, str, str]  # device, mount point, file system
Measure = Callable[[str], tuple[int, int]]


def read_disks(home: Path) -> tuple[Disk, ...]:
    """Return each block device once, at its shortest mount point, and the file system of `home`, whatever it is."""
    import psutil

    mounted = [(p.device, p.mountpoint, p.fstype) for p in psutil.disk_partitions(all=False)]
    every = [(p.device, p.mountpoint, p.fstype) for p in psutil.disk_partitions(all=True)]
    return select_disks(mounted, every, home, _measure)


def select_disks(
    mounted: Iterable[Partition], every: Iterable[Partition], home: Path, measure: Measure
) -> tuple[Disk, ...]:
    """Choose from `mounted` block devices, and from `every` mount that which holds `home`; `measure` gives bytes."""
    chosen: dict[str, str] = {}
    for device, mount, kind in sorted(mounted, key=lambda partition: len(partition[1])):
        if kind not in IMAGES and not device.startswith("/dev/loop") and not mount.startswith("/boot"):
            chosen.setdefault(device, mount)
    holder = max(
        (partition for partition in every if home.is_relative_to(partition[1])),
        key=lambda partition: len(partition[1]),
        default=None,
    )
    if holder is not None:
        chosen.setdefault(holder[0], holder[1])
    found = []
    for device, mount in list(chosen.items())[:DISKS_MAX]:
        try:
            total, free = measure(mount)
        except OSError:
            continue  # unmounted meanwhile, or not ours to look at
        if total > 0:
            found.append(Disk(mount=mount, device=device, total_bytes=total, free_bytes=free))
    return tuple(found)


def _measure(mount: str) -> tuple[int, int]:
    status = os.statvfs(mount)
    return status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize
