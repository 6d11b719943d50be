"""The SDK's real client before the real API, with no socket in between: for what takes both sides to show."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

import httpx

from lepton_ai.sdk.client import LeptonAI
from lepton_ai.sdk.connection import Connection
from lepton_ai.sdk.profiles import Target
from tests.unit.api.platform import Platform


class LivePlatform(Platform):
    """A platform, and clients of it. Requests of several threads are answered one after another."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        super().__init__(folder)
        self._one_by_one = Lock()
        self.asked: list[str] = []

    def client_of(self, token: str = "", project: str = "default") -> LeptonAI:
        """Return a client that holds `token`, or the administrator's."""
        target = Target(url="https://core", token=token or self.admin, token_source="a test", project=project)
        return LeptonAI.over(Connection(target, transport=httpx.MockTransport(self._answer)))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        with self._one_by_one:
            self.asked.append(f"{request.method} {request.url.path}")
            headers = {name: value for name, value in request.headers.items() if name != "authorization"}
            token = request.headers["authorization"].removeprefix("Bearer ")
            path = request.url.raw_path.decode()
            answer = self.call(request.method, path, token=token, content=request.read(), headers=headers)
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
