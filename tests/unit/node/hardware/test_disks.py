"""Which mounts are listed as disks."""

from __future__ import annotations

from pathlib import Path

from lepton_ai.node.hardware.disks import read_disks, select_disks

MOUNTED = [
    ("/dev/vda1", "/var/lib/docker", "ext4"),
    ("/dev/vda1", "/", "ext4"),
    ("/dev/vda15", "/boot/efi", "vfat"),
    ("/dev/loop3", "/snap/core/1", "squashfs"),
    ("/dev/nvme0n1", "/data", "xfs"),
]


def sizes(mount: str) -> tuple[int, int]:
    return {"/": (100, 40), "/data": (1000, 999), "/mnt/nfs": (7, 3), "/proc": (0, 0)}[mount]


def test_each_block_device_is_listed_once_and_images_are_not() -> None:
    disks = select_disks(MOUNTED, MOUNTED, Path("/root/.lepton"), sizes)
    assert [(d.device, d.mount, d.total_bytes, d.free_bytes) for d in disks] == [
        ("/dev/vda1", "/", 100, 40),
        ("/dev/nvme0n1", "/data", 1000, 999),
    ]


def test_the_file_system_of_the_state_folder_is_listed_whatever_it_is() -> None:
    every = [*MOUNTED, ("server:/export", "/mnt/nfs", "nfs4"), ("proc", "/proc", "proc")]
    disks = select_disks(MOUNTED, every, Path("/mnt/nfs/lepton"), sizes)
    assert ("server:/export", "/mnt/nfs") in [(disk.device, disk.mount) for disk in disks]


def test_a_disk_that_cannot_be_measured_is_left_out() -> None:
    def gone(mount: str) -> tuple[int, int]:
        raise OSError("stale file handle")

    assert select_disks(MOUNTED, MOUNTED, Path("/"), gone) == ()


def test_this_machine_shows_the_disk_of_a_folder(tmp_path: Path) -> None:
    disks = read_disks(tmp_path)
    assert any(tmp_path.is_relative_to(disk.mount) for disk in disks)
    assert all(0 <= disk.free_bytes <= disk.total_bytes for disk in disks)
