"""What `lepton doctor` looks at on this machine: programs, limits, memory, disk, devices."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from lepton_ai.cli.check import Check, broken, remark, well
from lepton_ai.errors import LeptonError
from lepton_ai.types.quantity import format_bytes

PYTHON_MIN = (3, 11)
MEMORY_BYTES_MIN = 1 * 1024**3  # the core with HAProxy takes 150 MB; the rest is for a first small job
DISK_BYTES_MIN = 2 * 1024**3  # one virtual environment with PyTorch takes about this much
HAPROXY_SECONDS_MAX = 10


def machine_checks(home: Path) -> Iterator[Check]:
    """Yield what was found, the most basic first."""
    yield check_python(sys.version_info[:2])
    yield check_haproxy()
    yield check_limits(home)
    yield check_memory(psutil.virtual_memory().available)
    yield check_disk(home)
    yield check_onnxruntime(importlib.util.find_spec("onnxruntime") is not None)
    yield from check_devices(home)


def check_python(version: tuple[int, ...]) -> Check:
    shown = platform.python_version()
    if version < PYTHON_MIN:
        return broken(
            "Python", f"{shown} is too old", "Install Python 3.11 or later and make a new environment with it."
        )
    return well("Python", f"{shown} at {sys.executable}")


def check_haproxy() -> Check:
    """Run the binary that the core would run, since one of another architecture is found but does not start."""
    from lepton_ai.backends.haproxy.process import INSTALL_HINT, find_binary

    mend = INSTALL_HINT.removeprefix("Mend it: ")
    try:
        binary = find_binary()
        done = subprocess.run(
            [binary, "-v"], capture_output=True, text=True, timeout=HAPROXY_SECONDS_MAX, check=True, errors="replace"
        )
    except LeptonError as error:
        return broken("HAProxy", error.message, mend)
    except (OSError, subprocess.SubprocessError) as error:
        return broken("HAProxy", f"it does not run: {error}", mend)
    return well("HAProxy", " ".join(done.stdout.split()[:3]) or binary)


def check_limits(home: Path) -> Check:
    from lepton_ai.node.limits import detect_limits

    limits = detect_limits(home)
    if limits.version and "memory" in limits.parents:
        return well("Limits", limits.sentence)
    mend = "Run the core as root, or: systemd-run --user --scope -p Delegate=yes lepton up"
    return remark("Limits", f"{limits.sentence} (no writable control groups)", mend)


def check_memory(available: int) -> Check:
    sentence = f"{format_bytes(available)} available"
    if available < MEMORY_BYTES_MIN:
        return remark("Memory", sentence, f"End other programs: {format_bytes(MEMORY_BYTES_MIN)} is a sound minimum.")
    return well("Memory", sentence)


def check_disk(home: Path) -> Check:
    """Look at the state folder, or where it will be made: may we write there, and is there space."""
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        return broken(
            "State folder", f"{place} cannot be written by this user", "Choose another one: LEPTON_HOME=FOLDER"
        )
    free = shutil.disk_usage(place).free
    sentence = f"{home}: writable, {format_bytes(free)} free"
    if free < DISK_BYTES_MIN:
        return remark("State folder", sentence, "Free some space, or choose another disk: LEPTON_HOME=FOLDER")
    return well("State folder", sentence)


def check_onnxruntime(is_there: bool) -> Check:
    if is_there:
        return well("ONNX Runtime", "installed, so ONNX models can be served")
    mend = "pip install onnxruntime"
    return remark("ONNX Runtime", "not installed, so `--model` has nothing to serve with", mend)


def check_devices(home: Path) -> Iterator[Check]:
    from lepton_ai.node.hardware.detect import detect_hardware

    hardware = detect_hardware(home=home)
    yield well("CPU", f"{hardware.cpu_model or hardware.architecture}, {hardware.threads} threads")
    for device in hardware.devices:
        driver = f", driver {device.driver}" if device.driver else ""
        yield well("Device", f"{device.model} ({device.kind}{driver})")
    for unprobed in hardware.unprobed:
        yield remark("Device", f"{unprobed.vendor} at {unprobed.where} is not usable: {unprobed.why}", unprobed.hint)
    if not hardware.devices and not hardware.unprobed:
        yield well("Device", "no accelerator in this machine; the CPU is used")
