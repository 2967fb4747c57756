"""The baseline: an application that does nothing, on the very server that the gateway runs on.

`python bare.py` answers every request with the JSON on its input and prints its port.
"""

from __future__ import annotations

import asyncio
import sys

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jimeng_gateway.http.serve import Server, loop_factory


async def main(body: bytes) -> None:
    """Serves until it is killed."""

    async def hello(request: Request) -> Response:
        await request.body()
        return Response(body, media_type="application/json")

    app = Starlette(routes=[Route("/{path:path}", hello, methods=["GET", "POST"])])
    server = Server(app, host="127.0.0.1", port=0)
    await server.start()
    print(server.port, flush=True)
    await server.wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(main(sys.stdin.buffer.read()))
