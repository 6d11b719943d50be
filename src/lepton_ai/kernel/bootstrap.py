"""The first objects of a new state folder: the default project, the administrator and the administrator's token."""

from __future__ import annotations

import os
from pathlib import Path

from lepton_ai.errors import Conflict, StorageFailed
from lepton_ai.kernel import auth, change
from lepton_ai.kernel.change import Change, Note
from lepton_ai.kernel.clock import Clock
from lepton_ai.kernel.identifiers import new_id
from lepton_ai.kernel.nodes import PLATFORM_PROJECT
from lepton_ai.kernel.store import Store
from lepton_ai.types.base import DEFAULT_PROJECT, Metadata
from lepton_ai.types.identity import EVERY_PROJECT, Project, Role, Token, TokenSpec, User, UserSpec

ADMIN = "admin"
NOTE = Note("created", "Made when the platform first started.")


def bootstrap(database: Store, clock: Clock, token_file: Path) -> None:
    """Make what is missing. A token file that was lost is replaced, and the token that it held withdrawn."""
    made: list[Change] = []
    if database.look_up(Project, PLATFORM_PROJECT, DEFAULT_PROJECT) is None:
        made.append(change.create(Project(metadata=_metadata(Project.KIND, DEFAULT_PROJECT, clock)), NOTE))
    if database.look_up(User, PLATFORM_PROJECT, ADMIN) is None:
        spec = UserSpec(roles={EVERY_PROJECT: Role.ADMIN})
        made.append(change.create(User(metadata=_metadata(User.KIND, ADMIN, clock), spec=spec), NOTE))
    known = database.look_up(Token, PLATFORM_PROJECT, ADMIN)
    if known is None or _read(token_file) != known.spec.sha256:
        if known is not None:
            made.append(change.delete(known, Note("withdrawn", "Its file was lost or changed.")))
        plain = auth.new_token()
        _write_private(token_file, plain)
        spec_of_token = TokenSpec(user=ADMIN, sha256=auth.digest(plain))
        token = Token(metadata=_metadata(Token.KIND, ADMIN, clock), spec=spec_of_token)
        made.append(change.create(token, NOTE))
    if made:
        try:
            database.commit(made, actor="platform")
        except Conflict as error:
            raise StorageFailed(
                "Two cores start on the same database at once.", hint="Start one of them later."
            ) from error


def _metadata(kind: str, name: str, clock: Clock) -> Metadata:
    return Metadata(id=new_id(kind, clock.now()), name=name, project=PLATFORM_PROJECT)


def _read(path: Path) -> str:
    try:
        return auth.digest(path.read_text().strip())
    except (FileNotFoundError, UnicodeDecodeError):
        return ""
    except OSError as error:
        raise _unusable(path, error) from error


def _write_private(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.new")
    try:
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> StorageFailed:
    return StorageFailed(
        f"The administrator's token {path} cannot be kept: {error.strerror}.",
        hint="Check the owner, the mode and the free space of its folder.",
    )
