"""The site's work page, whose script signs submits, and the check that it was that script (5.6, 5.7).

The signature is a digest of the path, the query, and a key that only a page of the same session is given. It
protects nothing: it shows that a submit was sent by the page of the session that pays for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources

import msgspec

from jimeng_gateway.simulator.options import SimulatorOptions
from jimeng_gateway.simulator.replies import Reply
from jimeng_gateway.simulator.traffic import Call

PAGES = ("/", "/ai-tool/generate", "/ai-tool/home", "/ai-tool/image/generate", "/ai-tool/video/generate")
_STATIC = "/ai-tool/static/"
_SCRIPT = _STATIC + "sign.js"
#: Paths whose requests the page's script signs.
PROTECTED = ("/mweb/v1/aigc_draft/generate", "/mweb/v1/get_history_by_ids")

PAGE, SCRIPT, EXTRA = "page", "page_script", "page_extra"
#: The same machine under a name that is another site to a browser.
_FOREIGN = {"127.0.0.1": "localhost", "localhost": "127.0.0.1"}


def endpoint(path: str) -> str:
    """What a path is in the log: the page, its script, something else that it wants; "" for neither."""
    if path in PAGES:
        return PAGE
    if path == _SCRIPT:
        return SCRIPT
    return EXTRA if path.startswith(_STATIC) or path == "/favicon.ico" else ""


def serve(options: SimulatorOptions, call: Call) -> Reply:
    """The reply to a GET of any of them."""
    if call.method not in ("GET", "HEAD"):
        return Reply(b"", 405)
    found = endpoint(call.path)
    if found == PAGE:
        return Reply(_document(options, call), headers={"content-type": "text/html; charset=utf-8"})
    if found == SCRIPT:
        return Reply(_asset("sign.js"), headers={"content-type": "text/javascript; charset=utf-8"})
    # Whoever fetches one of these did not need it; that it was fetched is in the log.
    return Reply(b"", headers={"content-type": "text/plain"})


def key(options: SimulatorOptions, session: str) -> str:
    """What a page of this session is given to sign with."""
    return hashlib.sha256(f"{options.seed}/page/{session}".encode()).hexdigest()[:32]


def a_bogus(signing_key: str, path: str, query: str, ms_token: str) -> str:
    """The signature, as sign.js makes it."""
    seed = _digest(f"{signing_key}|{path}|{query}|{ms_token}")
    return "".join(_digest(f"{index}|{seed}") for index in range(23))[:180]


def signed(options: SimulatorOptions, call: Call) -> bool:
    """Whether a page of the session that the cookie names signed this very request."""
    query, _, added = call.raw_query.partition("msToken=")
    ms_token, _, given = added.partition("&a_bogus=")
    if not given:
        return False
    return given == a_bogus(key(options, call.session), call.path, query.removesuffix("&"), ms_token)


def _digest(text: str) -> str:
    """FNV-1a, 32 bits."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"{value:08x}"


def _document(options: SimulatorOptions, call: Call) -> bytes:
    settings: Mapping[str, object] = {
        "key": key(options, call.session),
        "behaviour": options.page,
        "delay": options.page_delay_s,
        "paths": PROTECTED,
    }
    page = _asset("page.html").replace(b"{{settings}}", msgspec.json.encode(settings))
    return page.replace(b"{{foreign}}", _foreign(call).encode())


def _foreign(call: Call) -> str:
    """Another site: this one under its other name if it has one, else one that does not exist."""
    other = _FOREIGN.get(call.host)
    return call.base.replace(call.host, other, 1) if other else "https://foreign.invalid"


def _asset(name: str) -> bytes:
    return (resources.files("jimeng_gateway.simulator") / "assets" / name).read_bytes()
