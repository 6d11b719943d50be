"""Keeps Ray running on one machine: takes over what runs, starts what does not, and ends one with an open door."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from lepton_ai.backends.ray_cluster import doors
from lepton_ai.backends.ray_cluster.place import ClusterPlace
from lepton_ai.backends.ray_cluster.process import START_SECONDS_MAX, RayProcess
from lepton_ai.errors import Forbidden, LeptonError
from lepton_ai.types.node import Hardware

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
_log = logging.getLogger(__name__)


class RayKeeper:
    """Looks after the Ray of one state folder, on a machine with that address and hardware.

    `command` makes the command line, of that hardware, for each start anew, `more` what else is in the environment.
    """

    def __init__(
        self,
        place: ClusterPlace,
        address: str,
        hardware: Hardware,
        command: Callable[[], Sequence[str]],
        more: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._place = place
        self._process = RayProcess(place)
        self._address = address
        self._hardware = hardware
        self._command = command
        self._more = more
        self._failures = 0
        self._not_before = 0.0
        self.trouble = "Ray has not started yet."  # why Ray does not run; empty while it does

    def start(self, seconds_max: float = START_SECONDS_MAX) -> Sequence[doors.Finding]:
        """Start Ray and look at its doors; raises what kept it from starting, and Forbidden for an open door."""
        self._place.keep(self._place.hardware, self._hardware.model_dump_json().encode())
        self._process.start(self._command(), seconds_max, self._more())
        findings = self.examine()
        try:
            doors.check(findings)
        except Forbidden:
            self._process.stop()
            raise
        self.trouble = ""
        return findings

    def ensure(self, seconds_max: float = START_SECONDS_MAX) -> Sequence[doors.Finding]:
        """Start Ray unless it runs, and return what a stranger finds at its doors; raises as `start` does."""
        if self._process.find() is None:
            return self.start(seconds_max)
        self.trouble = ""
        return self.examine()

    def examine(self) -> Sequence[doors.Finding]:
        """Return what a stranger finds at each port of Ray's processes."""
        return doors.examine(self._process.members(), self._address)

    def is_running(self) -> bool:
        """Tell whether Ray runs."""
        return self._process.find() is not None

    def tick(self) -> None:
        """See to it that Ray runs: after a failure again, ever more slowly."""
        if self.is_running():
            self.trouble = ""
            return
        if time.monotonic() < self._not_before:
            return
        try:
            self.start()
            self._failures = 0
            _log.info("ray_started")
        except LeptonError as error:
            pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures, 10), LONGEST_PAUSE_SECONDS)
            self._failures += 1
            self._not_before = time.monotonic() + pause
            self.trouble = error.message
            _log.error("ray_not_started pause=%s error=%s", pause, error)

    def stop(self) -> None:
        """End Ray with everything that runs in it."""
        self._process.stop()
        self.trouble = "Ray was ended."
