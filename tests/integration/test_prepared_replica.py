"""A replica of the local runtime that needs everything: a bundle, a pickled call and a requirement."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from lepton_ai.backends.blobs import BlobStore
from lepton_ai.backends.local_runtime.runtime import LocalNode, LocalRuntime
from lepton_ai.kernel.runtime import ReplicaOrder
from lepton_ai.node.bundle import BundleCache
from lepton_ai.node.environment import EnvironmentCache
from lepton_ai.node.preparation import Preparer
from lepton_ai.sdk.bundle import pack
from lepton_ai.sdk.function_call import pack_call, read_result
from lepton_ai.services.jobs.task import FUNCTION_COMMAND
from lepton_ai.types.node import Hardware, NodeUse
from lepton_ai.types.resources import Allocation
from lepton_ai.types.task import ExitKind, Program, Replica, ReplicaState

HARDWARE = Hardware(
    cpu_model="", architecture="", sockets=1, cores=1, threads=1, instruction_sets=(), memory_bytes=2**30
)


class Machine:
    """A local runtime with its caches; it stops what it started."""

    def __init__(self, folder: Path) -> None:
        self.blobs = BlobStore(folder / "blobs")
        bundles = BundleCache(folder / "bundles", self.blobs.open)
        preparer = Preparer(self.blobs.open, bundles, EnvironmentCache(folder / "environments"))
        self.runtime = LocalRuntime(
            folder / "runtime",
            LocalNode("here", HARDWARE, NodeUse),
            prepare=preparer.prepare,
        )

    def put(self, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs.put(digest, [content], bytes_max=10**7)
        return digest

    def run(self, program: Program) -> Replica:
        held = Allocation(0, "here", 1000, 10**9, "cpu")
        self.runtime.start(ReplicaOrder("task-1-0", 0, held, program, 64, {}))
        deadline = time.monotonic() + 120
        while self.runtime.replicas()["task-1-0"].state is not ReplicaState.EXITED and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.runtime.replicas()["task-1-0"]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_function_finds_its_working_directory_and_its_value_comes_back(machine: Machine) -> None:
    def read() -> str:
        return Path("notes/note.txt").read_text()

    bundle = machine.put(b"".join(pack(None, bytes_max=10**6, extra={"notes/note.txt": b"hello"}).chunks()))
    call = machine.put(pack_call(read, [], {}))

    replica = machine.run(Program(command=FUNCTION_COMMAND, bundle=bundle, call=call))

    assert replica.exit is not None
    assert replica.exit.kind is ExitKind.SUCCEEDED
    result = machine.runtime.read_result("task-1-0")
    assert result is not None
    assert read_result(result) == "hello"


def test_a_requirement_that_cannot_be_installed_ends_the_replica_with_the_reason(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    replica = machine.run(Program(command=("true",), requirements=("lepton-no-such-package==1.0",)))

    assert replica.exit is not None
    assert replica.exit.kind is ExitKind.NOT_STARTED
    assert "lepton-no-such-package==1.0 cannot be installed" in replica.exit.sentence
    assert str(tmp_path) not in replica.exit.sentence


def test_a_bundle_that_was_never_sent_ends_the_replica_with_the_reason(machine: Machine) -> None:
    replica = machine.run(Program(command=("true",), bundle="sha256:" + "0" * 64))

    assert replica.exit is not None
    assert replica.exit.kind is ExitKind.NOT_STARTED
    assert "is not stored here" in replica.exit.sentence
