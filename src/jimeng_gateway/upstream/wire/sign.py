"""The `sign` header (jimeng-web.md 2.4): a checksum over path, version and second.

It proves nothing about the session and needs no secret, so it is a pure function of what the headers say.
"""

from __future__ import annotations

import hashlib


def sign_text(path: str, *, pf: str, appvr: str, unix_seconds: int, tdid: str = "") -> str:
    """The text that is hashed; `path` without host and query."""
    return f"9e2c|{path[-7:]}|{pf}|{appvr}|{unix_seconds}|{tdid}|11ac"


def sign(path: str, *, pf: str, appvr: str, unix_seconds: int, tdid: str = "") -> str:
    """Lower-case hex md5 of the sign text. `unix_seconds` must be the `device-time` header."""
    text = sign_text(path, pf=pf, appvr=appvr, unix_seconds=unix_seconds, tdid=tdid)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
