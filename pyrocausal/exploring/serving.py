"""Serving the page, on this machine alone."""

from __future__ import annotations

import logging
import signal
import webbrowser
from typing import Any

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.document import Document
from bokeh.server.server import Server
from bokeh.settings import settings

from pyrocausal.exploring.explorer import Explorer
from pyrocausal.exploring.page import Page

__all__ = ["address", "serve", "start"]


def start(explorer: Explorer, port: int = 0) -> Server:
    """Bind a server of the page to the loopback address, where no other machine can reach it.

    The page's JavaScript comes from this server too. A page of another site that the reader has
    open can't speak to it: Bokeh takes the web sockets of its own address alone.

    Args:
        explorer: The model, with its units.
        port: Where to listen; any that is free by default.

    Raises:
        OSError: The port is taken.
    """

    def show(document: Document) -> None:
        Page(explorer, document)

    settings.resources = "server"  # whatever the environment says: nothing from elsewhere
    return Server({"/": Application(FunctionHandler(show))}, port=port, address="localhost")


def address(server: Server) -> str:
    """Return what to type into a browser."""
    return f"http://localhost:{server.port}/"


def serve(server: Server, *, browser: bool) -> None:
    """Serve until Ctrl-C.

    Args:
        server: What `start` returned.
        browser: Whether to open the reader's browser.
    """
    logging.getLogger("bokeh").setLevel(logging.WARNING)
    logging.getLogger("tornado.access").setLevel(logging.ERROR)
    loop = server.io_loop

    def interrupted(*_: Any) -> None:
        # An answer that is under way is finished first; a second Ctrl-C breaks it off.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        loop.asyncio_loop.call_soon_threadsafe(loop.stop)

    before = signal.signal(signal.SIGINT, interrupted)
    server.start()
    if browser:
        loop.call_later(0.1, webbrowser.open, address(server))
    try:
        loop.start()
    finally:
        signal.signal(signal.SIGINT, before)
        server.stop()
        loop.close()
