"""Clients that never give up: they submit jobs of every kind, and remember what was acknowledged."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import deque
from dataclasses import dataclass

import httpx

from tests.faults.rig import JOBS, PATIENCE_SECONDS, SMALL, Json, Platform

CLIENTS = 3
PAUSE_SECONDS = 0.03
BATCH, BATCH_EVERY = 3, 8  # one submission in eight is of three jobs in one request
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
    is_packed: bool = False  # needs its working directory, so that there is more between its start and its first line


KINDS = (
    Kind("echo end", "succeeded", 0, share=4),
    Kind("sleep 0.5; echo end", "succeeded", 0, share=2),
    Kind("sleep 2; echo end", "succeeded", 0),
    Kind("cat said.txt", "succeeded", 0, share=2, is_packed=True),
    Kind("exit 7", "failed", 7),
    Kind("sleep 0.3; echo end", "succeeded", 0, replicas=2),
    Kind('[ "$RANK" = 1 ] && exit 3; sleep 100', "failed", 3, replicas=2),
    Kind("sleep 100", "stopped", 143, is_stopped=True),
)


class Load:
    """Several clients at once between `with` and its end, whatever becomes of the core meanwhile."""

    def __init__(self, platform: Platform, seed: int) -> None:
        self._platform = platform
        self._ended = threading.Event()
        self._abandoned = threading.Event()
        self._bundle = ""
        self._threads = [threading.Thread(target=self._run, args=(seed, each), daemon=True) for each in range(CLIENTS)]
        self.acknowledged: dict[str, Kind] = {}  # by job id
        self.trouble: list[str] = []

    def __enter__(self) -> Load:
        folder = self._platform.home.with_name("work")
        folder.mkdir()
        (folder / "said.txt").write_text("end\n")
        self._bundle = self._platform.sdk().jobs.upload(folder)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, trouble: type[BaseException] | None, *_: object) -> None:
        self._ended.set()
        if trouble:
            self._abandoned.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        self._abandoned.set()
        assert not any(thread.is_alive() for thread in self._threads), "a request was never answered"

    def _run(self, seed: int, each: int) -> None:
        choices = random.Random(f"{seed} {each}")
        to_stop: deque[str] = deque()
        with self._platform.client() as client:
            number = 0
            while not self._ended.is_set():
                kind = choices.choices(KINDS, [kind.share for kind in KINDS])[0]
                count = 1 if number % BATCH_EVERY else BATCH
                job_ids = self._submit(client, f"load-{each}-{number}", kind, count)
                number += 1
                to_stop.extend(job_ids if kind.is_stopped else [""])
                while len(to_stop) > STOP_AFTER:
                    self._stop(client, to_stop.popleft())
                time.sleep(PAUSE_SECONDS)
            for job_id in to_stop:
                self._stop(client, job_id)

    def _submit(self, client: httpx.Client, name: str, kind: Kind, count: int) -> list[str]:
        spec = {
            "command": ["sh", "-c", MARK + kind.script],
            "env": {"MARKS": str(self._platform.marks)},
            "replicas": kind.replicas,
            "resources": SMALL,
            "bundle": self._bundle if kind.is_packed else "",
        }
        drafts = [{"metadata": {"name": f"{name}-{place}"}, "spec": spec} for place in range(count)]
        if count > 1:
            jobs = self._send(client, f"{JOBS}:batch", {"items": drafts}, key=name).json()["items"]
        else:
            jobs = [self._send(client, JOBS, drafts[0], key=name).json()]
        job_ids = [str(job["metadata"]["id"]) for job in jobs]
        self.acknowledged |= dict.fromkeys(job_ids, kind)
        return job_ids

    def _stop(self, client: httpx.Client, job_id: str) -> None:
        if job_id:
            self._send(client, f"{JOBS}/{job_id}/stop", None, key="")

    def _send(self, client: httpx.Client, path: str, body: Json, key: str) -> httpx.Response:
        """Send until it is answered by the core itself; what comes while it is down is not an answer."""
        while not self._abandoned.is_set():
            with contextlib.suppress(httpx.TransportError):
                answer = client.post(path, json=body, headers={"Idempotency-Key": key})
                # A stop whose answer was lost is sent again, perhaps after it had its effect.
                if answer.is_success or (answer.status_code == 409 and not key):
                    return answer
                if answer.status_code not in {502, 503, 504}:
                    self.trouble.append(f"{path}: {answer.status_code} {answer.text}")
                    answer.raise_for_status()
            time.sleep(RETRY_SECONDS)
        raise TimeoutError(f"{path} was never answered")
