"""Puts a simulated site on a port: in a background thread for tests and demos, or for good as a command."""

from __future__ import annotations

import asyncio
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from types import TracebackType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from jimeng_gateway.clock import SystemClock
from jimeng_gateway.simulator import reports
from jimeng_gateway.simulator.app import ABORT, create_app
from jimeng_gateway.simulator.faults import Fault, FaultKind
from jimeng_gateway.simulator.options import SimulatorOptions, changed
from jimeng_gateway.simulator.site import Site
from jimeng_gateway.simulator.traffic import Seen
from jimeng_gateway.simulator.triggers import Ending
from jimeng_gateway.simulator.world import World


def _system_seconds() -> float:
    return SystemClock().now() / 1000


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol with a way to reset the connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"call": self._reset}}

    def _reset(self) -> None:
        # Lingering for no time makes the kernel send a reset instead of a farewell.
        found = self.transport.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class _Server(uvicorn.Server):
    """uvicorn's server, leaving the signals to whoever runs it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _server(site: Site) -> _Server:
    config = uvicorn.Config(
        create_app(site, SystemClock().sleep),
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        date_header=False,
        server_header=False,
        # Longer than clients keep idle connections, so that none is closed under a request.
        timeout_keep_alive=120,
        timeout_graceful_shutdown=1,
    )
    return _Server(config)


def _listen(host: str, port: int) -> tuple[socket.socket, str]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2048)
    shown = f"[{host}]" if family == socket.AF_INET6 else host
    return listener, f"http://{shown}:{listener.getsockname()[1]}"


class Simulator:
    """A site in a background thread: `with Simulator(SimulatorOptions(speed=20)) as sim: sim.base_url`.

    Its methods may be called from any thread. `world` and `site` are live: take `lock` to see them at rest.
    """

    def __init__(
        self,
        options: SimulatorOptions | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        clock: Callable[[], float] = _system_seconds,
    ) -> None:
        self._site = Site(options or SimulatorOptions(), clock)
        self._address = (host, port)
        self._server: _Server | None = None
        self._thread: Thread | None = None
        #: Where it is reached, without a slash at the end; "" until it has been started.
        self.base_url = ""

    def start(self) -> Simulator:
        """Listens; requests are taken as soon as this returns. OSError if the port is not free."""
        listener, self.base_url = _listen(*self._address)
        server = self._server = _server(self._site)
        self._thread = Thread(target=self._run, args=(server, listener), name="simulator", daemon=True)
        self._thread.start()
        return self

    @staticmethod
    def _run(server: _Server, listener: socket.socket) -> None:
        with listener, asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(server.serve(sockets=[listener]))

    def stop(self) -> None:
        """Stops listening; what it knows stays readable."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()

    def __enter__(self) -> Simulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def lock(self) -> Any:
        """Held while a request is carried out."""
        return self._site.lock

    @property
    def world(self) -> World:
        """The site's state."""
        return self._site.world

    @property
    def site(self) -> Site:
        """World, traffic and clock."""
        return self._site

    def account(self, session: str, **flags: Any) -> None:
        """Declares an account or changes its flags (names as in `account.Account`, and `credits`)."""
        with self._site.lock:
            self._site.world.declare(session, **flags)

    def fault(self, kind: str, **limits: Any) -> None:
        """Puts a fault on duty (fields as in `faults.Fault`)."""
        with self._site.lock:
            self._site.world.faults.arm([Fault(FaultKind(kind), **limits)])

    def clear_faults(self) -> None:
        """Takes all faults off duty."""
        with self._site.lock:
            self._site.world.faults.clear()

    def set(self, **change: Any) -> None:
        """Changes options for what comes next."""
        with self._site.lock:
            self._site.world.options = changed(self._site.world.options, change, running=True)

    def finish(self, submit_id: str, ending: str | None = None) -> int:
        """Ends the running jobs of a submit id now; how many there were."""
        with self._site.lock:
            chosen = Ending(ending) if ending else None
            return self._site.world.finish(submit_id, self._site.now(), chosen)

    def books(self, submit_id: str | None = None) -> dict[str, Any]:
        """`charges`, `charged` (times by submit id), `twice` (submit ids charged more than once), `total`."""
        with self._site.lock:
            return reports.books(self._site, submit_id)

    def state(self) -> dict[str, Any]:
        """Counters and sums."""
        with self._site.lock:
            return reports.state(self._site)

    def jobs(self) -> list[dict[str, Any]]:
        """Every job's life, oldest first."""
        with self._site.lock:
            now = self._site.now()
            return [reports.job(job, now) for job in self._site.world.jobs]

    def accounts(self) -> list[dict[str, Any]]:
        """Every account with its load and its polls."""
        with self._site.lock:
            return [reports.account(self._site, found) for found in self._site.world.accounts]

    def requests(self, endpoint: str | None = None) -> list[Seen]:
        """The last requests, oldest first."""
        with self._site.lock:
            return [seen for seen in self._site.traffic.log if endpoint in (None, seen.endpoint)]

    def reset(self) -> None:
        """Forgets everything but the options."""
        with self._site.lock:
            self._site.reset(self._site.world.options)


def serve(
    options: SimulatorOptions,
    host: str,
    port: int,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Runs a site until SIGINT or SIGTERM; `ready` gets its address once it listens. OSError if it cannot."""
    listener, base_url = _listen(host, port)
    server = _server(Site(options, _system_seconds))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _stop, server)
        if ready is not None:
            ready(base_url)
        await server.serve(sockets=[listener])

    with listener, asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(main())


def _stop(server: _Server) -> None:
    server.should_exit = True
