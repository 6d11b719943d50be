"""A core in a process of its own on a fresh state folder: started, killed, asked and watched from outside."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from lepton_ai.node.limits import detect_limits
from lepton_ai.sdk.client import LeptonAI
from lepton_ai.sdk.connection import Connection
from lepton_ai.sdk.profiles import Target

PATIENCE_SECONDS = 60.0
JOBS = "/api/v1/projects/default/jobs"
ENDPOINTS = "/api/v1/projects/default/endpoints"
SMALL = {"cpu": 0.1, "memory": "64MB"}

Json = Any  # what the API answers with, looked at as a client without our classes would


class Platform:
    """One core with its data plane and its replicas. `settings` in small letters are those of the core."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.marks = home.with_name("marks")
        self._printed = home.with_name("core.out")
        self._settings = {
            f"LEPTON_{name.upper()}" if name.islower() else name: value
            for name, value in ({"port": "0"} | settings).items()
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._launched_at = 0.0
        self._client: httpx.Client | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def token(self) -> str:
        return (self.home / "admin.token").read_text().strip()

    @property
    def url(self) -> str:
        return str(json.loads((self.home / "core.json").read_text())["url"])

    def launch(self, *prefix: str, module: str = "lepton_ai.app") -> subprocess.Popen[bytes]:
        """Start a core and do not wait for it; `prefix` is a command that runs it, such as setpriv."""
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        environment = kept | {"HOME": str(self.home), "LEPTON_HOME": str(self.home)}
        with self._printed.open("ab") as printed:
            self._launched_at = time.monotonic()
            self._process = subprocess.Popen(
                [*prefix, sys.executable, "-m", module],
                env=environment | self._settings,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                start_new_session=True,
            )
        return self._process

    def start(self) -> float:
        """Start a core and return how many seconds it took until the API answered."""
        self.launch()
        return self.await_ready()

    def await_ready(self) -> float:
        """Return how many seconds after its launch the core answered, from outside, through the data plane."""
        wait_for(self._is_ready, "the core to answer", pause=0.01)
        return time.monotonic() - self._launched_at

    def seconds_without_cpu(self) -> float:
        """Return how long the core's main thread was ready to run while others had the CPUs; 0 where nobody counts."""
        try:
            return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[1]) / 1e9
        except OSError:
            return 0.0

    def refusal(self, *prefix: str) -> str:
        """Start a core that must refuse, and return what it printed."""
        before = len(self.printed())
        code = self.launch(*prefix).wait(PATIENCE_SECONDS)
        said = self.printed()[before:]
        assert code == 3, f"exit code {code}: {said}"
        return said

    def kill(self) -> None:
        """End the core as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE_SECONDS)

    def printed(self) -> str:
        """Return everything that the cores of this folder printed."""
        return self._printed.read_text(errors="replace") if self._printed.exists() else ""

    def client(self, token: str = "", *, http2: bool = False) -> httpx.Client:
        """Return a new client; by default the administrator's."""
        context = ssl.create_default_context(cafile=str(self.home / "tls" / "ca.pem"))
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return httpx.Client(base_url=self.url, verify=context, headers=headers, timeout=20.0, http2=http2)

    def call(self, method: str, path: str, body: Json = None, **headers: str) -> httpx.Response:
        """Send one request as the administrator."""
        if self._client is None:
            self._client = self.client()
        try:
            return self._client.request(method, path, json=body, headers=headers)
        except httpx.RemoteProtocolError:
            # A new route makes the data plane close idle connections, perhaps in the moment in which this one was used.
            assert method == "GET", "nothing else may be sent twice"
            return self._client.request(method, path, json=body, headers=headers)

    def get(self, path: str) -> Json:
        """Return what is at `path`."""
        return ok(self.call("GET", path))

    def submit(self, *command: str, **spec: Json) -> Json:
        """Submit a small job and return it."""
        resources = SMALL | spec.pop("resources", {})
        return ok(self.call("POST", JOBS, {"spec": {"command": command, "resources": resources, **spec}}))

    def await_job(self, job: Json, *states: str) -> Json:
        """Wait until the job is in one of `states`, or has ended if none is named."""
        wanted = states or ("succeeded", "failed", "stopped")
        path = f"{JOBS}/{job['metadata']['id']}"
        wait_for(lambda: self.get(path)["status"]["state"] in wanted, f"{job['metadata']['name']} to be {wanted}")
        return self.get(path)

    def log_of(self, job: Json, collection: str = JOBS) -> str:
        """Return the text of a log, all replicas together."""
        found = self.call("GET", f"{collection}/{job['metadata']['id']}/logs")
        lines = [json.loads(line[6:]) for line in found.text.splitlines() if line.startswith("data: ")]
        return "".join(line.get("text", "") for line in lines)

    def sdk(self, token: str = "", project: str = "default") -> LeptonAI:
        """Return the client that users have."""
        ca = str(self.home / "tls" / "ca.pem")
        return LeptonAI.over(Connection(Target(self.url, token or self.token, "the test", ca, project)))

    def processes(self) -> Mapping[int, str]:
        """Return every living process that belongs to this state folder, with its command line."""
        needle = os.fsencode(str(self.home))
        found = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                command = Path("/proc", name, "cmdline").read_bytes()
                environment = Path("/proc", name, "environ").read_bytes()
                if needle in command + environment and is_alive(int(name)) and int(name) != os.getpid():
                    found[int(name)] = command.replace(b"\0", b" ").decode(errors="replace")
        return found

    def haproxies(self) -> Mapping[int, str]:
        """Return the processes of the data plane."""
        return {pid: line for pid, line in self.processes().items() if "haproxy" in line.split(" ", maxsplit=1)[0]}

    def orphans(self) -> Mapping[int, str]:
        """Return what runs besides the core and its data plane: supervisors, and whatever replicas started."""
        known = self.haproxies().keys() | {self.pid}
        return {pid: line for pid, line in self.processes().items() if pid not in known}

    def groups(self) -> list[str]:
        """Return the control groups of this folder's replicas."""
        limits = detect_limits(self.home / "runtime")
        return [str(path) for parent in limits.parents.values() for path in Path(parent).glob(f"{limits.instance}-*")]

    def supervisors(self) -> Mapping[str, int]:
        """Return the supervisor of each replica that runs, by the replica's id."""
        claims = (self.home / "runtime" / "replicas").glob("*/claim.json")
        found = {path.parent.name: int(json.loads(path.read_text())["pid"]) for path in claims}
        return {name: pid for name, pid in found.items() if pid and is_alive(pid)}

    def end(self) -> None:
        """End everything, whatever state the test left it in."""
        if self._client is not None:
            self._client.close()
        wait_for(lambda: not [_kill(pid) for pid in self.processes()], "the platform to end", pause=0.05)
        if self._process is not None:
            self._process.wait(PATIENCE_SECONDS)
        for group in self.groups():
            wait_for(lambda g=group: _remove(g), f"{group} to be empty")  # type: ignore[misc]

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the core ended: {self.printed()[-2000:]}"
        with contextlib.suppress(OSError, httpx.TransportError, ValueError):
            if json.loads((self.home / "core.json").read_text())["pid"] == self._process.pid:
                return self.call("GET", "/api/v1/whoami").status_code == 200
        return False


def ok(answer: httpx.Response) -> Json:
    """Return the body of an answer that must be good."""
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:500]}"
    return answer.json()


def problem(answer: httpx.Response, status: int) -> Json:
    """Return the problem in an answer that must be a clear refusal: a fact and no traceback."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:500]}"
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert "Traceback" not in answer.text
    found = answer.json()
    assert found["detail"]
    return found


def wait_for(condition: Callable[[], bool], what: str, *, pause: float = 0.02) -> None:
    """Return as soon as `condition` holds, and fail loudly if it never does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS:.0f} s for {what}"
        time.sleep(pause)


def is_alive(pid: int) -> bool:
    """Tell whether the process runs; one that ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _kill(pid: int) -> int:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return pid


def _remove(group: str) -> bool:
    try:
        os.rmdir(group)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
