"""The product's own estimates in a replay: lengths are learnt from the jobs that ended, and stated with errors or not.

What a job is known by is what the trace has: who sent it and how many devices it takes.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import numpy as np

from benchmarks.scheduling.philly import Floats, Stream
from benchmarks.scheduling.philly_replay import Setting, Start, Stop
from benchmarks.scheduling.product import EPOCH, JobReplay
from lepton_ai.kernel.queue import ASK_AGAIN, OVERDUE_SECONDS_MIN, differ
from lepton_ai.kernel.scheduling.experience import Course, Experience
from lepton_ai.kernel.scheduling.snapshot import Expectation


class Learning(JobReplay):
    """The product's scheduler with the product's `Experience`; `stated` are lengths that users tell, if they do."""

    def __init__(self, stream: Stream, setting: Setting, stated: Floats | None = None) -> None:
        super().__init__(stream, setting, np.zeros(len(stream)), 0.0)
        self.stated = np.zeros(len(stream)) if stated is None else stated
        self.known = Experience()
        self.running: set[int] = set()
        self.done = np.zeros(len(stream))  # seconds that a job ran before it was preempted
        self.asked: deque[tuple[int, int]] = deque()  # when each that waits was last asked for
        self.ends: list[tuple[float, int]] = []  # of those that run, as expected: to be moved once they have passed

    def submitted(self, job: int, now: int) -> None:
        super().submitted(job, now)
        self.asked.append((now, job))

    def expect(self, job: int, now: int) -> Expectation:
        done, restart = float(self.done[job]), self.restart.seconds if self.restart else 0.0
        found = self.known.expect(self.course(job), "", float(now), done)
        again = restart if done else 0.0
        return Expectation(found.median + again, found.p80 + again, found.source, found.mean + again)

    def course(self, job: int) -> Course:
        """Return what a job is known by."""
        gang = int(self.stream.gang[job])
        return Course(f"{self.stream.key[job]}/{gang}", ("", f"*/{gang} devices"), float(self.stated[job]))

    def finished(self, job: int, now: int) -> None:
        super().finished(job, now)
        self._leave(job, now)
        del self.waits[job]
        self.known.learn(self.course(job), "gpu", float(self.done[job]))

    def stop(self, job: int, now: int) -> Stop:
        self._leave(job, now)
        self.asked.append((now, job))
        return super().stop(job, now)

    def decide(self, now: int) -> Iterator[Start | Stop]:
        self._move_ends(now)
        self._ask_again(now)
        for step in super().decide(now):
            if isinstance(step, Start):
                self.running.add(step.job)
                self.known.began(f"{step.job:06}", self.course(step.job), "gpu", now - float(self.done[step.job]))
                self._note_end(step.job)
            yield step

    def _leave(self, job: int, now: int) -> None:
        self.running.remove(job)
        self.known.ended(f"{job:06}")
        restart = self.restart.seconds if self.restart and self.done[job] else 0.0
        self.done[job] += max(now - self.since[job] - restart, 0.0)

    def _move_ends(self, now: int) -> None:
        """Tell the scheduler anew when jobs that outlived their expected end will end, as the live platform does."""
        while self.ends and self.ends[0][0] <= now:
            _, job = heapq.heappop(self.ends)
            running = self.scheduler.running.get(f"{job:06}") if job in self.running else None
            if running is None or running.expected_end is None or running.expected_end > EPOCH + timedelta(seconds=now):
                continue
            elapsed = float(self.done[job]) + now - self.since[job]
            left = self.known.expect(self.course(job), "gpu", float(now), elapsed)
            end = EPOCH + timedelta(seconds=now + max(left.p80, OVERDUE_SECONDS_MIN))
            self.scheduler.run(replace(running, expected_end=end))
            self._note_end(job)

    def _ask_again(self, now: int) -> None:
        """Tell the scheduler anew what is expected of jobs that wait for long, as the live platform does."""
        while self.asked and self.asked[0][0] <= now - ASK_AGAIN.total_seconds():
            _, job = self.asked.popleft()
            if job in self.running or job not in self.waits:
                continue
            expected = {"": self.expect(job, now)}
            if differ(expected, self.waits[job].expectations):
                self.waits[job] = replace(self.waits[job], expectations=expected)
                self.scheduler.submit(self.waits[job])
            self.asked.append((now, job))

    def _note_end(self, job: int) -> None:
        end = self.scheduler.running[f"{job:06}"].expected_end
        assert end is not None
        heapq.heappush(self.ends, ((end - EPOCH).total_seconds(), job))


class RunningMean(JobReplay):
    """The product's scheduler with plain means by sender and size, as QSSF orders by (Hu et al., SC 2021)."""

    def __init__(self, stream: Stream, setting: Setting) -> None:
        super().__init__(stream, setting, np.zeros(len(stream)), 0.0)
        self.sums: dict[tuple[int, int], tuple[float, int]] = {}
        self.all = (0.0, 0)

    def expect(self, job: int, now: int) -> Expectation:
        total, count = self.sums.get(self.key(job), self.all)
        seconds = total / count if count else 600.0
        return Expectation(seconds, seconds, "inferred")

    def key(self, job: int) -> tuple[int, int]:
        """Return what a job's mean is taken over."""
        return int(self.stream.key[job]), int(self.stream.gang[job])

    def finished(self, job: int, now: int) -> None:
        super().finished(job, now)
        seconds = float(self.stream.seconds[job])
        total, count = self.sums.get(self.key(job), (0.0, 0))
        self.sums[self.key(job)] = total + seconds, count + 1
        self.all = self.all[0] + seconds, self.all[1] + 1
