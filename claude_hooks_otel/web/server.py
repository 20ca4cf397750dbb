"""Serves the page on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

import uvicorn

from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.web.app import Site
from claude_hooks_otel.web.guard import Guard

HOST: Final = "127.0.0.1"
# Seconds that open streams have when the server stops.
STOP_AFTER: Final = 1


class PageServer:
    """The page of one home on one port.

    Args:
        home: the home.
        environ: the environment, for the checks on the health page.
        port: the port; 0 for any free one.
        on_entry: called with the next link when a link was used.
        now_ns: the clock, Unix nanoseconds.

    Raises:
        OSError: the port is not free.
    """

    def __init__(
        self,
        home: Home,
        environ: Mapping[str, str],
        port: int = 0,
        on_entry: Callable[[str], None] = lambda _: None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._socket = socket.create_server((HOST, port))
        self.port: int = self._socket.getsockname()[1]
        self._site = Site(home, environ, now_ns, lambda: self._server.should_exit)
        self._guard = Guard(self._site.app(), self.port, on_entry)
        config = uvicorn.Config(
            self._guard,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=STOP_AFTER,
        )
        self._server = uvicorn.Server(config)

    @property
    def link(self) -> str:
        """The link that opens the page, once."""
        return self._guard.link

    def run(self) -> None:
        """Answer until ``stop`` is called, or until the process gets SIGINT or SIGTERM."""
        warming = threading.Thread(target=self._site.warm_up, daemon=True)
        warming.start()
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()
            warming.join()
            self._site.memory.close()

    def stop(self) -> None:
        """Let ``run`` return."""
        self._server.should_exit = True
