"""Tokens: made, recognised and looked up. What a role may do stands in `types.operation`."""

from __future__ import annotations

import hashlib
import secrets
import threading
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lepton_ai.errors import Unauthenticated
from lepton_ai.kernel.clock import Clock
from lepton_ai.kernel.store import Store
from lepton_ai.types.identity import Project, Role, Token, User

# lepton_<30 random><6 checksum>: scanners find leaked tokens by the prefix and know true ones by the checksum, as
# GitHub's do (https://github.blog/engineering/behind-githubs-new-authentication-token-formats/).
PREFIX = "lepton_"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_DIGITS = 30  # 178 bits
CHECKSUM_DIGITS = 6  # 32 bits
_HINT = "Make a new one: lepton token create --user NAME; for this machine's own profile: lepton up"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request, as far as the token tells."""

    user: str
    roles: Mapping[str, Role]


def new_token() -> str:
    """Return a new token."""
    body = "".join(secrets.choice(_BASE62) for _ in range(RANDOM_DIGITS))
    return f"{PREFIX}{body}{_checksum(body)}"


def digest(token: str) -> str:
    """Return what is stored and compared instead of the token."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_well_formed(token: str) -> bool:
    """Tell whether this could be a token at all, without asking the store."""
    body = token.removeprefix(PREFIX)
    whole = len(token) == len(PREFIX) + RANDOM_DIGITS + CHECKSUM_DIGITS and token.isascii()
    return whole and token.startswith(PREFIX) and _checksum(body[:RANDOM_DIGITS]) == body[RANDOM_DIGITS:]


def is_of_another(token: Token, user: User) -> bool:
    """Tell whether the token was made for an earlier user of the same name."""
    made, joined = token.metadata.created_at, user.metadata.created_at
    return made is not None and joined is not None and made < joined


class Gatekeeper:
    """Turns a bearer token into a caller. Holds every token's digest in memory, renewed after each commit."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: dict[str, Token] = {}
        self._digests: dict[str, str] = {}  # by the token's id, because a deleted token tells its digest no more
        self._users: dict[str, User] = {}
        self._projects: set[str] = set()
        self._revision = -1
        self._news = object()  # another one after each commit
        self._known: object | None = None  # the news that everything here is as new as
        store.on_change(self._expect_news)

    def caller(self, bearer: str) -> Caller:
        """Return who holds the token; raises Unauthenticated without telling whether it ever was good."""
        if not bearer:
            raise Unauthenticated("This request carries no token.", hint="Send: Authorization: Bearer TOKEN")
        if not is_well_formed(bearer):
            raise Unauthenticated("This is not a token of Lepton AI.", hint=_HINT)
        self._refresh()
        token = self._tokens.get(digest(bearer))
        user = self._users.get(token.spec.user) if token else None
        if token is None or user is None or _is_over(token, self._clock.now()) or is_of_another(token, user):
            raise Unauthenticated("The token is unknown, expired or withdrawn.", hint=_HINT)
        return Caller(user.name, user.spec.roles)

    def token_of(self, bearer: str) -> Token | None:
        """Return the token itself, if there is one."""
        self._refresh()
        return self._tokens.get(digest(bearer))

    def has_project(self, name: str) -> bool:
        """Tell whether there is such a project."""
        self._refresh()
        return name in self._projects

    def projects(self) -> Sequence[str]:
        """Return the names of all projects, sorted."""
        self._refresh()
        return sorted(self._projects)

    def _expect_news(self) -> None:
        self._news = object()

    def _refresh(self) -> None:
        if self._known is self._news:
            return
        with self._lock:
            # Told only once everything is read: a request that comes meanwhile waits here rather than use what is old.
            news = self._news
            newest = self._store.revision()
            if self._revision < 0:
                self._load()
                self._revision = newest
            while changed := self._store.changes(self._revision, kinds=(Token.KIND, User.KIND, Project.KIND)):
                for seen in changed:
                    self._take(seen.object, is_gone=seen.is_deleted)
                self._revision = changed[-1].revision
            self._revision = max(self._revision, newest)
            self._known = news

    def _load(self) -> None:
        """Read what lives; what is committed meanwhile comes by the feed."""
        for kind in (Token, User, Project):
            before = ""
            while page := self._store.page(kind, before=before, live_only=True):
                for thing in page:
                    self._take(thing, is_gone=False)
                before = page[-1].metadata.id

    def _take(self, thing: object, *, is_gone: bool) -> None:
        if isinstance(thing, Token):
            gone = is_gone or thing.metadata.deletion_requested_at is not None
            self._tokens.pop(self._digests.pop(thing.id, ""), None)
            if not gone:
                self._digests[thing.id] = thing.spec.sha256
                self._tokens[thing.spec.sha256] = thing
        elif isinstance(thing, User):
            self._users.pop(thing.name, None) if is_gone else self._users.update({thing.name: thing})
        elif isinstance(thing, Project):
            self._projects.discard(thing.name) if is_gone else self._projects.add(thing.name)


def _is_over(token: Token, now: datetime) -> bool:
    return token.spec.expires_at is not None and token.spec.expires_at <= now


def _checksum(body: str) -> str:
    value, digits = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_DIGITS):
        value, digit = divmod(value, len(_BASE62))
        digits = _BASE62[digit] + digits
    return digits
