"""Send working directories and pickled calls, each content once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lepton_ai.errors import InvalidInput, NotFound
from lepton_ai.sdk.bundle import Bundle, pack
from lepton_ai.sdk.collection import project_path
from lepton_ai.sdk.connection import Call, Connection

BUNDLE_BYTES_MAX = 512 * 1024 * 1024  # what a core takes by default; one that is set lower refuses by itself
UPLOAD_SECONDS_MAX = 600.0  # the answer comes when the content is on the core's disk

Progress = Callable[[int, int], None]  # bytes sent so far, bytes in all; begins anew if the upload must be repeated


class Uploads:
    """The contents of one project. Several clients may send the same content at once."""

    def __init__(self, connection: Connection, project: str) -> None:
        self._connection = connection
        self._path = f"{project_path(project)}/blobs"

    def send_folder(self, folder: Path, progress: Progress | None = None) -> str:
        """Upload a folder unless the project has it, and return its digest; ignore files say what stays at home."""
        with pack(folder, bytes_max=BUNDLE_BYTES_MAX) as bundle:
            content = bundle.chunks if progress is None else _told(bundle, progress)
            self._send(bundle.digest, content)
            return bundle.digest

    def send_file(self, path: Path) -> str:
        """Upload a folder that holds this one file, unless the project has it, and return its digest."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InvalidInput(f"{path} cannot be read: {error.strerror or error}.") from error
        with pack(None, bytes_max=BUNDLE_BYTES_MAX, extra={path.name: content}) as bundle:
            self._send(bundle.digest, bundle.chunks)
            return bundle.digest

    def send_call(self, call: bytes) -> str:
        """Upload a pickled call unless the project has it, and return its digest."""
        digest = f"sha256:{hashlib.sha256(call).hexdigest()}"
        self._send(digest, lambda: (call,))
        return digest

    def _send(self, digest: str, content: Callable[[], Iterable[bytes]]) -> None:
        path = f"{self._path}/{digest}"
        try:
            self._connection.send(Call("HEAD", path))
        except NotFound:
            self._connection.send(Call("PUT", path, content=content, answer_seconds_max=UPLOAD_SECONDS_MAX))


def _told(bundle: Bundle, progress: Progress) -> Callable[[], Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        sent = 0
        for chunk in bundle.chunks():
            yield chunk
            sent += len(chunk)
            progress(sent, bundle.size_bytes)

    return chunks
