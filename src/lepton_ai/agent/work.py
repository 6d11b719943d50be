"""What the agent does, again and again: keep Ray running, tell the core how this node is, renew its certificate."""

from __future__ import annotations

import logging
import time

from lepton_ai.backends.node_certificates import Holder, is_near_its_end, request_certificate
from lepton_ai.backends.ray_cluster.command import node_command
from lepton_ai.backends.ray_cluster.keeper import RayKeeper
from lepton_ai.backends.ray_cluster.node_door import NodeDoorProcess
from lepton_ai.backends.ray_cluster.place import ClusterPlace, Joined
from lepton_ai.errors import Forbidden, LeptonError, NotFound, Unauthenticated
from lepton_ai.kernel.clock import Clock
from lepton_ai.node.hardware import detect_hardware
from lepton_ai.sdk.connection import Call, Connection
from lepton_ai.sdk.profiles import Target
from lepton_ai.types.membership import NodeReport, Renewal, RenewalRequest
from lepton_ai.types.node import Hardware

TICK_SECONDS = 1.0
REPORT_SECONDS = 5.0  # as late, at most, does a machine learn that it was removed
RENEW_SECONDS = 3600.0  # how often the certificate is looked at
REPORT_ANSWER_SECONDS = 4.0

_log = logging.getLogger(__name__)


def connect(place: ClusterPlace, joined: Joined) -> Connection:
    """Return a connection to the core as this node, which trusts the cluster's own authority and nobody else."""
    target = Target(joined.url, joined.node_token, f"{place.joined}", ca=str(place.authority))
    return Connection(target)


def keeper_of(place: ClusterPlace, joined: Joined, hardware: Hardware) -> RayKeeper:
    """Return what keeps the Ray of this node."""

    def command() -> list[str]:
        return [*node_command(joined.name, joined.address, joined.head, hardware, place.ray_folder)]

    return RayKeeper(place, joined.address, hardware, command)


class Agent:
    """The agent of one node. Made anew after each crash: all that it must remember is in files."""

    def __init__(self, place: ClusterPlace, clock: Clock) -> None:
        self._place = place
        self._clock = clock
        self._joined = place.recall()
        self._keeper = keeper_of(place, self._joined, detect_hardware(home=place.home))
        self._connection = connect(place, self._joined)
        self._holder = Holder(self._joined.name, self._joined.address)
        self._door = NodeDoorProcess(place, self._joined.address)

    def run(self) -> None:
        """Work until the node is removed; then Ray is ended, and so is this."""
        next_report = next_look = 0.0
        while True:
            self._keeper.tick()
            now = time.monotonic()
            if now >= next_look:
                next_look = now + RENEW_SECONDS
                self._renew()
            if now >= next_report:
                next_report = now + REPORT_SECONDS
                self._keep_door()
                if not self._report():
                    _log.warning("node_removed")
                    self._keeper.stop()
                    self._door.stop()
                    return
            time.sleep(TICK_SECONDS)

    def _keep_door(self) -> None:
        try:
            self._door.ensure()
        except LeptonError as error:
            _log.error("door_not_open error=%s", error)

    def _report(self) -> bool:
        """Tell the core whether Ray runs here; False if the core knows this node no more."""
        told = NodeReport(trouble=self._keeper.trouble[:2000])
        call = Call(
            "PUT",
            f"/api/v1/cluster/nodes/{self._joined.name}/report",
            body=told.model_dump(mode="json"),
            answer_seconds_max=REPORT_ANSWER_SECONDS,
        )
        try:
            self._connection.send(call)
        except (Unauthenticated, Forbidden, NotFound):
            return False
        except LeptonError as error:
            _log.warning("report_failed error=%s", error)
        return True

    def _renew(self) -> None:
        """Ask for the next certificate in time; Ray's processes that start from then on use it (ADR 0019)."""
        if not is_near_its_end(self._place.certificate, self._clock.now(), self._holder):
            return
        key, request = request_certificate(self._joined.name)
        path = f"/api/v1/cluster/nodes/{self._joined.name}/certificate"
        body = RenewalRequest(certificate_request=request).model_dump(mode="json")
        try:
            answer = Renewal.model_validate(self._connection.fetch(Call("POST", path, body=body)))
            self._place.keep_identity(key, answer.certificate, answer.authority)
            _log.info("certificate_renewed")
        except LeptonError as error:
            _log.warning("certificate_not_renewed error=%s", error)
