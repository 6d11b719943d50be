"""A tiny HTTP server for the tests of the data plane: it echoes what it was sent. Run with a port or a socket's path.

`/slow?SECONDS` answers late, `/stream?SECONDS` sends one line, waits and sends another, `/drop` hangs up at once.
"""

import asyncio
import contextlib
import json
import os
import sys

SEEN: list[str] = []


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while head := (await reader.readuntil(b"\r\n\r\n")).decode():
            lines = head.split("\r\n")
            method, target, _ = lines[0].split(" ", 2)
            named = (line.lower().partition(": ") for line in lines[1:] if line)
            headers = {name: value for name, _, value in named}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            SEEN.append(target)
            if headers.get("upgrade") == "websocket":
                await echo(reader, writer)
                break
            if not await answer(writer, method, target, headers, body):
                break
    writer.close()


async def answer(writer: asyncio.StreamWriter, method: str, target: str, headers: dict[str, str], body: bytes) -> bool:
    path, _, query = target.partition("?")
    if path == "/drop":
        writer.transport.abort()
        return False
    if path == "/slow":
        await asyncio.sleep(float(query))
    if path == "/stream":
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nfirst\n\r\n")
        await writer.drain()
        await asyncio.sleep(float(query))
        writer.write(b"5\r\nlast\n\r\n0\r\n\r\n")
        await writer.drain()
        return True
    seen = {"pid": os.getpid(), "method": method, "target": target, "headers": headers, "body": body.decode()}
    text = json.dumps({**seen, "seen": SEEN[-50:]}).encode()
    reply = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nset-cookie: a=b\r\ncontent-length: {len(text)}\r\n\r\n"
    )
    writer.write(reply.encode() + (b"" if method == "HEAD" else text))
    await writer.drain()
    return True


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as a WebSocket server does, then send back whatever comes."""
    accept = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # the example of RFC 6455, section 1.3
    lines = ("HTTP/1.1 101 Switching Protocols", "connection: Upgrade", "upgrade: websocket", accept, "", "")
    writer.write("\r\n".join(lines).encode())
    while piece := await reader.read(4096):
        writer.write(piece)
        await writer.drain()


async def main(where: str) -> None:
    if where.isdigit():
        server = await asyncio.start_server(serve, "127.0.0.1", int(where))
    else:
        server = await asyncio.start_unix_server(serve, where)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
