"""Lets machines join that the platform itself has made: a token for each, as `lepton node token` makes one."""

from __future__ import annotations

from lepton_ai.backends.ray_cluster.head import ClusterHead
from lepton_ai.kernel import auth
from lepton_ai.kernel.clock import Clock
from lepton_ai.kernel.identifiers import new_id, new_name
from lepton_ai.kernel.joining import INVITATION, invited
from lepton_ai.kernel.nodes import PLATFORM_PROJECT
from lepton_ai.kernel.store import Store
from lepton_ai.types.identity import User
from lepton_ai.types.membership import JOINING_USER

INSTANCE_CHARACTERS = 12  # of a SHA-256: enough to tell the instances of one owner apart


class ClusterMembers:
    """The kernel's `Members` on a cluster of our own. Safe to use from several threads."""

    def __init__(self, store: Store, clock: Clock, cluster: ClusterHead, url: str) -> None:
        self._store, self._clock, self._cluster = store, clock, cluster
        self.url = url

    @property
    def instance(self) -> str:
        return self._cluster.fingerprint()[:INSTANCE_CHARACTERS]

    def invite(self, node: str) -> str:
        now = self._clock.now()
        plain = auth.new_token()
        token = invited(
            new_name("join"),
            auth.digest(plain),
            now + INVITATION,
            f"Made for node {node}.",
            lambda kind: new_id(kind, now),
        )
        has_user = self._store.look_up(User, PLATFORM_PROJECT, JOINING_USER) is not None
        self._store.commit(token[:1] if has_user else token, actor="platform")
        return f"{plain}.{self._cluster.fingerprint()}"

    def refresh(self) -> None:
        self._cluster.roster.refresh()
