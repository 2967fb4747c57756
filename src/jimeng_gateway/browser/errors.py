"""What can be wrong with the browser; apart from it, because everything around it raises these too."""

from __future__ import annotations


class BrowserError(Exception):
    """The browser did not do what it was asked to; the message says why."""


class Unusable(BrowserError):
    """There is no browser that can be started here; says what to do about it."""


class Lost(BrowserError):
    """The browser is gone."""


class PageGone(BrowserError):
    """The page's process crashed, or the page was closed."""


class CommandRefused(BrowserError):
    """The browser understood a command and did not carry it out."""
