"""The ASGI app behind the data plane: what it hands over for a service goes there, everything else to the API."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from lepton_ai.kernel.registry import AsgiApp, Receive, Scope, Send

SECRET_HEADER = b"x-lepton-gateway"
WEBSOCKET_REFUSED = {"type": "websocket.close", "code": 1013, "reason": "The endpoint is waking up; try again."}


class Front:
    """Chooses between the API and the gateways. Only the data plane knows the secret that opens the latter."""

    def __init__(self, api: AsgiApp, gateways: Sequence[AsgiApp], secret: str) -> None:
        self._api = api
        self._gateways = gateways
        self._secret = secret.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] not in {"http", "websocket"} or not self._is_handed_over(scope):
            await self._api(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send(dict(WEBSOCKET_REFUSED))
        else:
            await self._gateways[0](scope, receive, send)

    def _is_handed_over(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == SECRET_HEADER]
        return bool(self._gateways) and len(given) == 1 and hmac.compare_digest(given[0], self._secret)
