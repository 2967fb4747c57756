"""What can be chosen about the signer, in one frozen value, and what it says about its own state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: Hosts, and hosts below them, whose scripts the site's page needs (jimeng-web.md 5.7).
SCRIPT_HOSTS = ("vlabstatic.com", "bytescm.com", "jianying.com", "byteimg.com")
#: Path of the site's own work page (jimeng-web.md 5.7).
WORK_PAGE = "/ai-tool/generate?type=video"


@dataclass(frozen=True, slots=True)
class SignerOptions:
    """Durations are seconds."""

    #: Where browser profiles live while a browser runs; made when needed, nothing stays in it.
    folder: Path
    #: Path or name of the Chromium to start; empty: the first known one that is installed.
    chromium: str = ""
    #: Whether the browser's processes are confined. For root that takes another user to run them.
    sandbox: bool = True
    #: As whom a gateway of root runs Chromium, unless the sandbox is off.
    user: str = "nobody"
    #: Where that user's profiles live; like /tmp, it must let everybody make things that nobody else can
    #: remove. None: the directory for temporary files.
    shared_folder: Path | None = None
    #: The site's work page. Its host is always allowed to load scripts from.
    page_url: str = "https://jimeng.jianying.com" + WORK_PAGE
    #: Domain of a session's cookies; on any other host they belong to that host alone.
    cookie_domain: str = ".jianying.com"
    script_hosts: tuple[str, ...] = SCRIPT_HOSTS
    #: What the site's script must have put into the query before a submit may leave (jimeng-web.md 5.6).
    marks: tuple[str, ...] = ("a_bogus",)
    #: Most contexts open at once; each takes 30 MB and what the site's scripts need.
    max_contexts: int = 20
    #: Time after which an unused context is closed.
    idle_close: float = 600.0
    #: Time after which a page is loaded anew before its next submit.
    page_age: float = 3600.0
    #: Time without any context after which the browser is stopped.
    browser_idle: float = 180.0
    #: Longest start of the browser, and longest wait for its end before it is killed.
    start_timeout: float = 30.0
    stop_timeout: float = 5.0
    #: Longest wait from opening a page until the site's script has taken over `fetch`.
    ready_timeout: float = 30.0
    #: Longest wait for the reply to a submit.
    submit_timeout: float = 60.0


@dataclass(frozen=True, slots=True)
class SignerHealth:
    """Whether submits can be signed here, as far as is known without trying, or as a trial showed."""

    available: bool
    #: "Chrome/156.0.8078.79"; empty while no browser has been started.
    version: str = ""
    #: Why not, and what to do about it; empty if available.
    reason: str = ""
    running: bool = False
    #: Contexts open now.
    contexts: int = 0
    #: What may fail although it is available, and what to do about it; empty if nothing is known.
    note: str = ""
