"""Keeps HAProxy at what is desired: looks at what runs, and changes what differs. Safe to repeat at any moment."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from lepton_ai.backends.haproxy import socket as runtime
from lepton_ai.backends.haproxy.config import TOKENS, Rendering, Sockets, is_checked, render, server_words
from lepton_ai.backends.haproxy.desired import DataPlane, Peer
from lepton_ai.backends.haproxy.figures import EndpointKey, Row, Tally, WorkerRows
from lepton_ai.backends.haproxy.place import Place, make_folder, replace_file, socket_folder
from lepton_ai.backends.haproxy.process import HaproxyProcess
from lepton_ai.errors import StorageFailed
from lepton_ai.types.data_plane import ACTIVATOR, EndpointFigures, EndpointRoute, Server

STOP_GRACE = timedelta(seconds=5)


class HaproxyPlane:
    """The data plane of one state folder. One thread applies; `figures` may be asked from another."""

    def __init__(self, home: Path, *, binary: str = "") -> None:
        self._place = Place(home / "haproxy", socket_folder(home))
        self._process = HaproxyProcess(self._place, binary)
        self._tally = Tally()
        self._secret = ""

    @property
    def secret(self) -> str:
        """The value of `X-Lepton-Gateway` in requests that HAProxy has checked; made once, kept in a file of 0600."""
        if not self._secret:
            self._secret = _read_or_make_secret(self._place)
        return self._secret

    def is_running(self) -> bool:
        """Tell whether HAProxy runs and answers; when it does not, `apply` mends that."""
        return self._process.is_running()

    def pid(self) -> int | None:
        """Return the process id of HAProxy's master, or None."""
        return self._process.pid()

    def apply(self, desired: DataPlane) -> None:
        """Make HAProxy serve `desired`, starting it if it does not run.

        Raises Unavailable (the port is taken, HAProxy is missing or refuses) or StorageFailed. What served before
        goes on serving then.
        """
        make_folder(self._place.folder)
        rendering = render(desired, self._sockets(), _certificates(desired))
        is_running = self._process.is_running()
        if is_running:
            # A withdrawn token must not outlive a failure further down, such as a certificate that is refused.
            self._mend_map(TOKENS, rendering.maps[TOKENS])
        is_new = not is_running or runtime.read_description(self._place.stats_socket) != rendering.structure
        if is_new:
            self._check(rendering)
        self._write(rendering)
        if not is_running:
            self._process.start(desired.address, desired.port)
        elif is_new:
            self._process.reload(desired.address, desired.port)
        for name, entries in rendering.maps.items():
            self._mend_map(name, entries)
        self._mend_servers(desired)

    def figures(self) -> Mapping[EndpointKey, EndpointFigures]:
        """Return what HAProxy counts now; raises Unavailable if it does not run."""
        place = self._place
        newest = runtime.ask(place.stats_socket, "show info;show stat")
        about, _, statistics = newest.partition("# pxname")
        pid = next((int(line[4:]) for line in about.splitlines() if line.startswith("Pid:")), 0)
        workers = [WorkerRows(pid, is_newest=True, rows=tuple(runtime.read_statistics("# pxname" + statistics)))]
        for old in self._process.workers_before():
            answer = runtime.ask(place.master_socket, f"@!{old} show stat;quit")
            rows = runtime.read_statistics(answer) if answer.startswith("# pxname") else []
            workers.append(WorkerRows(old, is_newest=False, rows=tuple(rows)))
        return self._tally.add_up(workers, time.monotonic())

    def stop(self, grace: timedelta = STOP_GRACE) -> None:
        """End HAProxy; requests under way have `grace` to end."""
        self._process.stop(grace)

    def _sockets(self) -> Sockets:
        return Sockets(self._place.stats_socket, self._place.activator_socket, self.secret)

    def _check(self, rendering: Rendering) -> None:
        """Try the new file beside the old one, so that a bad one never replaces what a restart would read."""
        candidate = self._place.folder / "candidate.cfg"
        for name in rendering.maps:
            (self._place.folder / name).touch(mode=0o600)
        replace_file(candidate, rendering.config)
        try:
            self._process.check(candidate)
        finally:
            candidate.unlink(missing_ok=True)

    def _write(self, rendering: Rendering) -> None:
        for name, entries in rendering.maps.items():
            replace_file(self._place.folder / name, _map_text(entries))
        replace_file(self._place.config, rendering.config)

    def _mend_map(self, name: str, wanted: Mapping[str, str]) -> None:
        replace_file(self._place.folder / name, _map_text(wanted))
        found = runtime.read_map(self._place.stats_socket, name)
        commands = [f"del map {name} {key}" for key in found if key not in wanted]
        commands += [
            f"set map {name} {key} {wanted[key]}" for key in found if wanted.get(key, found[key]) != found[key]
        ]
        commands += [f"add map {name} {key} {value}" for key, value in wanted.items() if key not in found]
        runtime.send_all(self._place.stats_socket, commands)

    def _mend_servers(self, desired: DataPlane) -> None:
        found: dict[str, dict[str, Row]] = {}
        for row in runtime.read_statistics(runtime.ask(self._place.stats_socket, "show stat")):
            if row["svname"] not in ("FRONTEND", "BACKEND", ACTIVATOR):
                found.setdefault(row["pxname"], {})[row["svname"]] = row
        for route in desired.endpoints:
            running = found.get(route.backend, {})
            wanted = {server.id: server for server in route.servers}
            for server in route.servers:
                commands = _commands_for(route, server, running.get(server.id), desired.peer)
                runtime.send_all(self._place.stats_socket, commands)
            for name in running.keys() - wanted.keys():
                self._remove(f"{route.backend}/{name}", is_down=running[name]["status"].startswith("DOWN"))

    def _remove(self, name: str, *, is_down: bool) -> None:
        """Take a server away. One that still has requests stays in maintenance until a later round.

        A machine that lost its power says no goodbye: what still waits for one that is down is given up, so that a GET
        is sent elsewhere. Not sooner: a request that is about to be sent elsewhere by itself would be lost.
        """
        runtime.ask(self._place.stats_socket, f"set server {name} state maint;disable health {name}")
        if is_down:
            runtime.ask(self._place.stats_socket, f"shutdown sessions server {name}")
        runtime.ask(self._place.stats_socket, f"del server {name}")


def _commands_for(route: EndpointRoute, server: Server, row: Row | None, peer: Peer | None) -> list[str]:
    name = f"{route.backend}/{server.id}"
    if row is None:
        health = [f"enable health {name}"] if is_checked(route, server) else []
        return [f"add server {name} {server_words(route, server, peer)}", *health, f"enable server {name}"]
    commands = []
    if row["weight"] != str(server.effective_weight):
        commands.append(f"set server {name} weight {server.effective_weight}")
    if row["status"].startswith("MAINT"):
        commands.append(f"set server {name} state ready")
    if (row["slim"] or "0") != str(route.max_concurrency):
        commands.append(f"set maxconn server {name} {route.max_concurrency}")
    return commands


def _map_text(entries: Mapping[str, str]) -> str:
    return "".join(f"{key} {value}\n" for key, value in entries.items())


def _certificates(desired: DataPlane) -> str:
    peer = [desired.peer.certificate, desired.peer.authority] if desired.peer is not None else []
    return "".join(_read_certificate(path) for path in (desired.server_pem, *peer))


def _read_certificate(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise StorageFailed(f"{path} cannot be read: {error}.", hint="Remove the folder; it is made anew.") from error


def _read_or_make_secret(place: Place) -> str:
    make_folder(place.folder)
    try:
        found = place.secret_file.read_text().strip()
    except (FileNotFoundError, UnicodeDecodeError):
        found = ""
    if len(found) == 64 and found.isalnum():
        return found
    made = secrets.token_hex(32)
    replace_file(place.secret_file, made)
    return made
