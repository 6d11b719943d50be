"""A real SeaweedFS as the platform runs it: quick to start, found again, brought back, and shut to strangers."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lepton_ai.backends.object_stores.seaweed import config
from lepton_ai.backends.object_stores.seaweed.process import free_ports
from lepton_ai.backends.object_stores.seaweed.stores import SeaweedStores
from lepton_ai.errors import LeptonError, NotFound, StorageFailed
from lepton_ai.kernel.clock import SystemClock
from lepton_ai.object_store.opening import OpenStore
from lepton_ai.types.bucket import StoreTarget

PROJECT, OTHER = "project-1", "project-2"


class Rig:
    """A SeaweedFS in a folder, and doors to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "seaweedfs"
        self._sockets = folder / "run"
        self._sockets.mkdir()
        self.stores = self.core()

    def core(self) -> SeaweedStores:
        """Return what a core that starts now holds."""
        return SeaweedStores(self.folder, self._sockets, SystemClock())

    def target(self, project: str = PROJECT, bucket: str = "bucket-1", *, may_write: bool = True) -> StoreTarget:
        return self.stores.target(project, bucket, may_write=may_write)

    def open(self, project: str = PROJECT, bucket: str = "bucket-1", *, may_write: bool = True) -> OpenStore:
        return OpenStore(self.target(project, bucket, may_write=may_write))

    def pid(self) -> int:
        return int((self.folder / "weed.pid").read_text())

    def state(self) -> config.State:
        path = self.folder / "seaweed.json"
        return config.read_state(path.read_text(), path)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    made = Rig(tmp_path_factory.mktemp("home"))
    made.target()
    yield made
    made.stores.stop()


def status_of(port: int, path: str, method: str = "GET") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path)
    status = connection.getresponse().status
    connection.close()
    return status


def greeting_of(port: int) -> bytes:
    """Return what a stranger without a certificate hears at a port that speaks TLS."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain, context.wrap_socket(plain) as tls:
        tls.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        return tls.recv(100)


def test_objects_go_in_and_come_out(rig: Rig) -> None:
    store = rig.open()
    store.put("a/small", bytearray(b"sealed"))
    store.put("a/large", iter([memoryview(bytearray(8 * 1024 * 1024)), memoryview(b"end")]))
    about = store.get_first("a/large", 10).about
    assert bytes(store.get_range(about, 8 * 1024 * 1024, about.sealed_bytes)) == b"end"
    assert [one.name for one in store.each("a/")] == ["a/large", "a/small"]
    store.delete(["a/small", "a/missing"])
    with pytest.raises(NotFound):
        store.get_first("a/small", 10)


def test_a_reader_reads_and_changes_nothing(rig: Rig) -> None:
    rig.open().put("object", bytearray(b"sealed"))
    reader = rig.open(may_write=False)
    assert bytes(reader.get_first("object", 10).content) == b"sealed"
    with pytest.raises(StorageFailed, match="refuses"):
        reader.put("object", bytearray(b"other"))
    with pytest.raises(StorageFailed):
        reader.delete(["object"])
    assert bytes(reader.get_first("object", 10).content) == b"sealed"


def test_the_key_of_one_project_opens_nothing_of_another(rig: Rig) -> None:
    rig.open(OTHER).put("theirs", bytearray(b"sealed"))
    ours = rig.target()
    foreign = OpenStore(ours.replace(s3_bucket=config.s3_bucket(OTHER)))
    said = []
    for name in ("theirs", "missing"):
        with pytest.raises(StorageFailed) as caught:
            foreign.get_first(name, 10)
        said.append(caught.value.message.replace(name, "it").partition(":")[0])
    assert said[0] == said[1]
    with pytest.raises(StorageFailed):
        foreign.put("ours", bytearray(b""))


def test_a_wrong_signature_is_refused(rig: Rig) -> None:
    forged = OpenStore(rig.target().replace(secret_access_key="guessed"))
    with pytest.raises(StorageFailed, match="refuses"):
        forged.get_first("object", 10)


def test_nobody_is_served_without_a_key(rig: Rig) -> None:
    state = rig.state()
    assert status_of(state.s3_port, f"/lepton-{PROJECT}/bucket-1/object") == 403
    for path in ("/dir/status", "/dir/assign", "/col/delete?collection=lepton-project-1"):
        assert status_of(state.master_port, path) == 404
    assert status_of(state.filer_port, "/buckets/") == 404
    assert [status_of(state.volume_port, "/1,0123456789", method) for method in ("PUT", "DELETE")] == [401, 401]
    for port in (state.master_port, state.volume_port, state.filer_port, state.s3_port):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            greeting_of(port + config.GRPC_OFFSET)


def test_it_listens_on_loopback_alone(rig: Rig) -> None:
    listening = [one.laddr for one in psutil.Process(rig.pid()).net_connections("tcp") if one.status == "LISTEN"]
    assert len(listening) == 8
    assert {address.ip for address in listening} == {"127.0.0.1"}


def test_its_secrets_are_in_files_of_its_owner_and_nowhere_else(rig: Rig) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in rig.folder.iterdir() if path.is_file()}
    assert {modes[name] for name in ("seaweed.json", "s3.json", "certificate.key", "weed.log")} == {0o600}
    state = rig.state()
    secrets = [state.root_secret, config.admin_key(state).secret_access_key]
    seen = " ".join(psutil.Process(rig.pid()).cmdline()) + (rig.folder / "weed.log").read_text()
    assert not [secret for secret in secrets if secret in seen]


def test_the_next_core_adopts_it(rig: Rig) -> None:
    before = rig.pid()
    target = rig.core().target(PROJECT, "bucket-1", may_write=True)
    assert (rig.pid(), target) == (before, rig.target())


def test_a_bucket_that_is_emptied_leaves_the_others_alone(rig: Rig) -> None:
    for bucket in ("bucket-3", "bucket-30"):
        rig.open(bucket=bucket).put("a/object", bytearray(b"sealed"))
    assert rig.stores.empty(PROJECT, "bucket-3")
    assert list(rig.open(bucket="bucket-3").each()) == []
    assert [one.name for one in rig.open(bucket="bucket-30").each()] == ["a/object"]


def test_killed_it_is_noticed_and_brought_back_with_all_that_was_acknowledged(rig: Rig) -> None:
    woken: list[str] = []
    rig.stores.on_death(lambda: woken.append("now"))
    store = rig.open()
    names = [f"kept/{number}" for number in range(50)]
    for name in names:
        store.put(name, bytearray(name.encode()))
    before = rig.pid()
    os.kill(before, signal.SIGKILL)
    wait_for(woken)
    rig.stores.tend()
    assert rig.pid() != before
    assert [bytes(store.get_first(name, 100).content) for name in names] == [name.encode() for name in names]
    store.put("after", bytearray(b"sealed"))


def test_a_port_that_somebody_else_took_is_named(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.folder.mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_ports(1)[0]))
        taken.listen()
        port = taken.getsockname()[1]
        (rig.folder / "seaweed.json").write_text(config.write_state(config.new_state([port, port, port, port])))
        with pytest.raises(LeptonError, match=f"Port {port} or {port + 10_000} of this platform's store is taken"):
            rig.target()
    assert json.loads((rig.folder / "seaweed.json").read_text())["s3_port"] == port


def wait_for(woken: list[str]) -> None:
    deadline = time.monotonic() + 60
    while not woken and time.monotonic() < deadline:
        time.sleep(0.05)
    assert woken
