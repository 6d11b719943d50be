"""The only door from hardware detection to the world: tools, files, environment, PCI functions and NVML.

Detectors get a `Probe` and are otherwise pure parsers, so that tests hand them captured output.
"""

from __future__ import annotations

import glob
import math
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Protocol

from lepton_ai.node.hardware.nvml import Nvml, NvmlFailed, PynvmlNvml
from lepton_ai.node.hardware.pci import PCI_FOLDER, PciFunction, parse_pci

TOOL_SECONDS = 1.5  # amd-smi, the slowest of them, starts in about 0.7 s; the whole detection may take 2 s
READ_BYTES_MAX = 1 << 20  # 256 CPUs x 1.5 kB of /proc/cpuinfo is 0.4 MB
WHY_CHARACTERS_MAX = 200
OUTPUT_FILE = "{output}"  # an argument that is replaced by a fresh file whose content is then the output

# Makers install their tools where a login shell finds them, not a service.
TOOL_FOLDERS = (
    "/opt/rocm/bin",
    "/opt/aws/neuron/bin",
    "/opt/xilinx/xrt/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
)


class ProbeFailed(Exception):
    """Something that is there could not be asked; the message says why, in words for users."""


class Probe(Protocol):
    """What a detector may ask of a machine. `SystemProbe` asks this one; tests answer from captures."""

    def has(self, tool: str) -> bool:
        """Tell whether the command exists."""

    def run(self, *command: str) -> str:
        """Return what the command prints; raises ProbeFailed if it fails, hangs or prints nothing readable."""

    def read(self, path: str, limit: int = READ_BYTES_MAX) -> str:
        """Return the file's text without surrounding space; empty if it cannot be read."""

    def glob(self, pattern: str) -> tuple[str, ...]:
        """Return the sorted paths that match."""

    def environment(self, name: str) -> str:
        """Return the variable, or nothing."""

    def pci(self) -> tuple[PciFunction, ...]:
        """Return every PCI function, sorted by address."""

    def nvml(self) -> Nvml | None:
        """Return NVIDIA's management library, or None if nothing points to it; raises NvmlFailed if it is broken."""

    def cpus(self) -> frozenset[int]:
        """Return the CPUs that this process may run on."""


class SystemProbe:
    """Asks this machine. Commands end at `deadline` (monotonic seconds) at the latest."""

    def __init__(self, deadline: float = math.inf) -> None:
        self._deadline = deadline
        self._pci: tuple[PciFunction, ...] | None = None
        self._nvml: Nvml | None = None

    def has(self, tool: str) -> bool:
        return _find(tool) is not None

    def run(self, *command: str) -> str:
        if OUTPUT_FILE not in command:
            return self._run(command)
        with tempfile.TemporaryDirectory(prefix="lepton-probe-") as folder:
            output = Path(folder) / "output"
            self._run(tuple(str(output) if word == OUTPUT_FILE else word for word in command))
            return self.read(str(output))

    def read(self, path: str, limit: int = READ_BYTES_MAX) -> str:
        try:
            with open(path, "rb") as file:
                return file.read(limit).decode("utf-8", "replace").strip()
        except OSError:
            return ""

    def glob(self, pattern: str) -> tuple[str, ...]:
        return tuple(sorted(glob.glob(pattern)))

    def environment(self, name: str) -> str:
        return os.environ.get(name, "")

    def pci(self) -> tuple[PciFunction, ...]:
        if self._pci is None:
            self._pci = parse_pci(self.glob(f"{PCI_FOLDER}/*"), self.read)
        return self._pci

    def nvml(self) -> Nvml | None:
        if self._nvml is None and self._shows_nvidia():
            self._nvml = PynvmlNvml()
        return self._nvml

    def cpus(self) -> frozenset[int]:
        return frozenset(os.sched_getaffinity(0))

    def _shows_nvidia(self) -> bool:
        # Importing pynvml takes 20 ms, so that a machine without any trace of NVIDIA must not pay for it.
        # /dev/dxg is how Windows' Linux subsystem shows its GPU.
        has_function = any(function.vendor == 0x10DE and function.is_accelerator for function in self.pci())
        return has_function or os.path.exists("/dev/nvidiactl") or os.path.exists("/dev/dxg")

    def _run(self, command: tuple[str, ...]) -> str:
        tool = command[0]
        path = _find(tool)
        if path is None:
            raise ProbeFailed(f"{tool} is not installed")
        seconds = min(TOOL_SECONDS, self._deadline - time.monotonic())
        if seconds <= 0:
            raise ProbeFailed(f"there was no time left to ask {tool}")
        try:
            process = subprocess.Popen(
                (path, *command[1:]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C"},
                start_new_session=True,
            )
        except OSError as error:
            raise ProbeFailed(f"{tool} could not be started: {error.strerror}") from error
        return _output_of(process, tool, seconds)


def _output_of(process: subprocess.Popen[bytes], tool: str, seconds: float) -> str:
    with process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            # The whole session goes: these tools are scripts, and a child that keeps the pipe open would hang us.
            os.killpg(process.pid, signal.SIGKILL)
            raise ProbeFailed(f"{tool} did not answer within {seconds:.1f} s") from error
    text = out.decode("utf-8", "replace").strip()
    if process.returncode != 0:
        said = (err.decode("utf-8", "replace").strip() or text)[-WHY_CHARACTERS_MAX:]
        last_line = said.splitlines()[-1] if said else "it said nothing"
        raise ProbeFailed(f"{tool} exited with {process.returncode}: {last_line}")
    return text


def _find(tool: str) -> str | None:
    return shutil.which(tool) or shutil.which(tool, path=os.pathsep.join(TOOL_FOLDERS))


__all__ = ["OUTPUT_FILE", "NvmlFailed", "Probe", "ProbeFailed", "SystemProbe"]
