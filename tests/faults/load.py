"""A client that never gives up: it submits jobs of every kind, and remembers what was acknowledged."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import deque
from dataclasses import dataclass

import httpx

from tests.faults.rig import JOBS, SMALL, Json, Platform

PAUSE_SECONDS = 0.06
STOP_AFTER = 6  # submissions later: most of the jobs to stop run by then, some still wait
RETRY_SECONDS = 0.05
MARK = 'echo "$LEPTON_JOB_ID $RANK $LEPTON_TASK_ID $$" >> "$MARKS"; echo "begin $RANK"; '


@dataclass(frozen=True)
class Kind:
    """A job and what must become of it. A job that is stopped may end before it started."""

    script: str
    state: str
    exit_code: int
    replicas: int = 1
    share: int = 1
    is_stopped: bool = False


KINDS = (
    Kind("echo end", "succeeded", 0, share=4),
    Kind("sleep 0.5; echo end", "succeeded", 0, share=2),
    Kind("sleep 2; echo end", "succeeded", 0),
    Kind("exit 7", "failed", 7),
    Kind("sleep 0.3; echo end", "succeeded", 0, replicas=2),
    Kind('[ "$RANK" = 1 ] && exit 3; sleep 100', "failed", 3, replicas=2),
    Kind("sleep 100", "stopped", 143, is_stopped=True),
)


class Load:
    """Submits from a thread of its own between `with` and its end, whatever becomes of the core meanwhile."""

    def __init__(self, platform: Platform, seed: int) -> None:
        self._platform = platform
        self._random = random.Random(seed)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._to_stop: deque[tuple[int, str]] = deque()
        self.acknowledged: dict[str, Kind] = {}  # by job id
        self.trouble: list[str] = []

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        with self._platform.client() as client:
            number = 0
            while not self._ended.is_set():
                self._submit(client, number)
                self._stop(client, number)
                number += 1
                time.sleep(PAUSE_SECONDS)
            self._stop(client, number + STOP_AFTER)

    def _submit(self, client: httpx.Client, number: int) -> None:
        kind = self._random.choices(KINDS, [each.share for each in KINDS])[0]
        spec = {
            "command": ["sh", "-c", MARK + kind.script],
            "env": {"MARKS": str(self._platform.marks)},
            "replicas": kind.replicas,
            "resources": SMALL,
        }
        body = {"metadata": {"name": f"load-{number}"}, "spec": spec}
        job = self._send(client, JOBS, body, key=f"load-{number}").json()
        self.acknowledged[job["metadata"]["id"]] = kind
        if kind.is_stopped:
            self._to_stop.append((number, job["metadata"]["id"]))

    def _stop(self, client: httpx.Client, number: int) -> None:
        while self._to_stop and self._to_stop[0][0] + STOP_AFTER <= number:
            _, job_id = self._to_stop.popleft()
            self._send(client, f"{JOBS}/{job_id}/stop", None, key="")

    def _send(self, client: httpx.Client, path: str, body: Json, key: str) -> httpx.Response:
        """Send until it is answered by the core itself; what comes while it is down is not an answer."""
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = client.post(path, json=body, headers={"Idempotency-Key": key})
                if answer.status_code < 500:
                    if not answer.is_success:
                        self.trouble.append(f"{path}: {answer.status_code} {answer.text}")
                    return answer
                if answer.status_code not in {502, 503, 504}:
                    self.trouble.append(f"{path}: {answer.status_code} {answer.text}")
            time.sleep(RETRY_SECONDS)
