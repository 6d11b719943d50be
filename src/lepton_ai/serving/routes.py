"""The paths of a served class: one per handler, and those that describe the replica and its health."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from concurrent.futures import Executor
from contextlib import aclosing
from functools import partial

from lepton_ai.errors import InvalidInput
from lepton_ai.serving import metrics as exposition
from lepton_ai.serving.app import RESERVED_NAMES, find_handlers
from lepton_ai.serving.calls import Calls, Gate
from lepton_ai.serving.encoding import to_json
from lepton_ai.serving.http import Answer, Endpoint, Request, Response, Route, Stream
from lepton_ai.serving.metrics import Metrics
from lepton_ai.serving.openapi import describe
from lepton_ai.serving.signature import Signature, read_signature
from lepton_ai.serving.streams import open_stream


def routes_of(instance: object, pool: Executor, metrics: Metrics) -> dict[str, Route]:
    """Return the paths that serve `instance`; raises InvalidInput if it has no handlers, or a wrong one."""
    title = type(instance).__name__
    signatures: dict[str, Signature] = {}
    routes: dict[str, Route] = {}
    for name, method, options in find_handlers(instance):
        if name in RESERVED_NAMES:
            raise InvalidInput(f"{title}.{name} is marked as a handler, but /{name} is taken.", hint="Rename it.")
        signatures[name] = read_signature(name, method, is_batched=options.is_batched)
        calls = Calls(name, method, options, pool, partial(metrics.batched, name))
        routes[f"/{name}"] = Route("POST", _endpoint(signatures[name], calls), name)
    if not routes:
        raise InvalidInput(
            f"{title} has no handlers.", hint="Mark at least one method: from lepton_ai import handler, then @handler."
        )
    described = json.dumps(describe(title, signatures)).encode()
    listed = {name: signature.description.split("\n")[0] for name, signature in signatures.items()}
    return routes | common_routes(title, listed, metrics) | {"/openapi.json": fixed(described)}


def common_routes(title: str, handlers: Mapping[str, str], metrics: Metrics) -> dict[str, Route]:
    """Return what every replica answers: its list of handlers (name to one line), health and metrics.

    Nothing listens before the user's class or model is loaded, so whoever gets an answer gets "ready".
    """

    async def expose(_: Request) -> Answer:
        return Response(metrics.expose(), media_type=exposition.MEDIA_TYPE)

    listed = [{"name": name, "path": f"/{name}", "description": text} for name, text in handlers.items()]
    return {
        "/": fixed(json.dumps({"name": title, "handlers": listed}).encode()),
        "/health/live": fixed(b'{"live":true}'),
        "/health/ready": fixed(b'{"ready":true}'),
        "/metrics": Route("GET", expose),
    }


def fixed(body: bytes) -> Route:
    """Return a path that always answers the same JSON."""

    async def answer(_: Request) -> Answer:
        return Response(body)

    return Route("GET", answer)


def _endpoint(signature: Signature, calls: Calls) -> Endpoint:
    async def answer(request: Request) -> Answer:
        arguments = signature.read(request.body)
        with calls.gate:
            result = await calls.call(arguments)
            if not isinstance(result, AsyncIterator):
                return Response(to_json(result))
            stream = await open_stream(result, request)
        return Stream(_inside(calls.gate, stream.chunks), stream.media_type)

    return answer


async def _inside(gate: Gate, chunks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    with gate.prolonged():
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk
