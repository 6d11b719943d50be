"""Pure: which tokens may call the endpoints of which projects, as the data plane checks it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from lepton_ai.kernel.auth import is_of_another
from lepton_ai.types.data_plane import NEVER_EXPIRES, TokenGrant
from lepton_ai.types.identity import Role, Token, User

MAY_CALL = frozenset({Role.ADMIN, Role.MEMBER})


def grants(tokens: Collection[Token], users: Collection[User]) -> Iterable[TokenGrant]:
    """Yield a grant for each project in which a token's user may call endpoints."""
    by_name = {user.name: user for user in users}
    for token in tokens:
        user = by_name.get(token.spec.user)
        if user is None or token.metadata.deletion_requested_at or user.metadata.deletion_requested_at:
            continue
        if is_of_another(token, user):
            continue
        expires = int(token.spec.expires_at.timestamp()) if token.spec.expires_at else NEVER_EXPIRES
        for project, role in sorted(user.spec.roles.items()):
            if role in MAY_CALL:
                yield TokenGrant(sha256=token.spec.sha256, project=project, expires_epoch=expires)
