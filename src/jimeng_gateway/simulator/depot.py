"""Files and the keys to send them: who was given which token, what was applied for, what has come in.

Bytes are counted and summed while they come in, and not kept.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Literal

from jimeng_gateway.simulator import aws, probe
from jimeng_gateway.simulator.regions import Region
from jimeng_gateway.simulator.traffic import Call

#: Where the bytes of a file go, before its uri.
STORE = "/upload/v1/"
#: What a file may hold to be refused by the safety check.
REJECTED_MARK = b"[sim:reject-image]"


@dataclass(frozen=True, slots=True)
class Token:
    """Temporary keys of an account."""

    uid: str
    session: str
    access_key: str
    secret: str
    session_token: str
    expires: float


@dataclass(slots=True)
class Stored:
    """One file that was applied for."""

    uid: str
    kind: Literal["image", "video"]
    uri: str
    #: Only of videos and sounds.
    vid: str
    auth: str
    session_key: str
    #: Bytes announced, and come in.
    size: int
    received: int | None = None
    parts: dict[int, tuple[int, str]] = field(default_factory=dict)
    upload_id: str = ""
    head: bytes = b""
    tail: bytes = b""
    #: Sent by PUT: it is stored, but nothing can read it (6.2).
    unreadable: bool = False
    committed: bool = False

    @property
    def handle(self) -> str:
        """What a generate call names."""
        return self.vid or self.uri

    def measures(self) -> probe.Measures:
        """As far as they can be seen."""
        return probe.picture(self.head) if self.kind == "image" else probe.clip(self.head, self.tail)

    @property
    def rejected(self) -> bool:
        """Whether the safety check refuses it."""
        return REJECTED_MARK in self.head or REJECTED_MARK in self.tail


class Depot:
    """All tokens and files of a site."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._drawn = 0
        self._tokens: dict[str, Token] = {}
        self.files: list[Stored] = []
        self._by_uri: dict[str, Stored] = {}
        self._by_key: dict[str, Stored] = {}
        self._by_handle: dict[str, Stored] = {}

    def issue(self, uid: str, session: str, now: float, lifetime_s: float) -> Token:
        """A token of an account."""
        mark = self._draw("token")
        token = Token(
            uid, session, f"AKTP{mark[:32]}", mark[32:] + "==", f"STS2{self._draw('sts')}", now + lifetime_s
        )
        self._tokens[token.access_key] = token
        return token

    def token(self, access_key: str) -> Token | None:
        """The token with that key."""
        return self._tokens.get(access_key)

    def place(self, region: Region, uid: str, kind: Literal["image", "video"], size: int) -> Stored:
        """Room for a file."""
        mark = self._draw(kind)
        if kind == "image":
            uri, vid = f"{region.image_store}/{mark[:32]}", ""
        else:
            uri, vid = f"{region.video_store}/o{mark[:30]}", f"v0{mark[:30]}"
        store = uri.split("-")[-1].split("/")[0]
        stored = Stored(uid, kind, uri, vid, f"SpaceKey/{store}/1/:version:v2:{mark[32:]}", mark, size)
        stored.session_key = base64.b64encode(json.dumps({"uri": uri, "key": mark[:16]}).encode()).decode()
        self.files.append(stored)
        self._by_uri[uri] = self._by_key[stored.session_key] = self._by_handle[stored.handle] = stored
        return stored

    def at(self, path: str) -> Stored | None:
        """The file whose bytes go to this path."""
        return self._by_uri.get(path.removeprefix(STORE))

    def with_key(self, session_key: str) -> Stored | None:
        """The file of an Apply."""
        return self._by_key.get(session_key)

    def named(self, handle: str) -> Stored | None:
        """The file of that uri or vid."""
        return self._by_handle.get(handle)

    def begin_parts(self, stored: Stored) -> str:
        """An id for the parts of a file."""
        stored.upload_id = self._draw("parts")[:24]
        stored.parts.clear()
        return stored.upload_id

    def session_of(self, call: Call) -> str:
        """Whose request it is, by token or by file; "" for nobody's."""
        token = self.token(aws.access_key(call))
        if token is not None:
            return token.session
        stored = self.at(call.path)
        owner = stored.uid if stored is not None else None
        return next((t.session for t in self._tokens.values() if t.uid == owner), "")

    def _draw(self, kind: str) -> str:
        self._drawn += 1
        return hashlib.sha256(f"{self._seed}/{kind}/{self._drawn}".encode()).hexdigest()
