"""Addresses of finished files: they look signed, and they are, so that an altered or an old one is refused.

A path says which result of which job it is, so nothing has to be remembered for a link to work.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import parse_qs

from jimeng_gateway.simulator.regions import Region

#: Qualities by the letter that ends a video's token; "h" is the high-quality one of 7.5.
QUALITIES = {"o": "origin", "7": "720p", "3": "360p", "h": "hq"}

#: What a query may not hold bare.
_QUOTED = str.maketrans({"+": "%2B", "/": "%2F", "=": "%3D"})


@dataclass(frozen=True, slots=True)
class FileRef:
    """What a media path leads to."""

    number: int
    index: int
    #: "image", "cover" or a value of QUALITIES.
    variant: str


@dataclass(frozen=True, slots=True)
class Links:
    """Makes and checks addresses for one way in which the site is reached."""

    region: Region
    seed: int
    #: Begins links to pictures, covers and videos; all the same unless the real host names are in use.
    image_base: str
    cover_base: str
    video_base: str

    @classmethod
    def reached_as(cls, base: str, host: str, region: Region, seed: int) -> Links:
        """For requests to `base`; real host names get real-looking CDN addresses."""
        if host in region.hosts:
            return cls(region, seed, region.image_cdn, region.cover_cdn, region.video_cdn)
        return cls(region, seed, base, base, base)

    def image_uri(self, number: int, index: int) -> str:
        """The uri of a picture, store included."""
        return f"{self.region.image_store}/{self._token(number, index, 'i')}"

    def video_id(self, number: int) -> str:
        """The vid of a video."""
        return f"v02870g10004{self._token(number, 0, 'v')[:20]}"

    def image(self, number: int, index: int, expires: int, *, dead: bool = False) -> str:
        """The full picture."""
        path = f"/{self.image_uri(number, index)}~tplv-{_space(self.region)}-aigc_resize:0:0.png"
        return f"{self.image_base}{path}?lk3s=43402efa&{self._signed(path, expires, dead)}"

    def cover(self, number: int, index: int, size: int, expires: int) -> str:
        """A small WebP of it."""
        space = _space(self.region)
        path = f"/{self.image_uri(number, index)}~tplv-{space}-aigc_resize:{size}:{size}.webp"
        return f"{self.cover_base}{path}?lk3s=43402efa&{self._signed(path, expires, dead=False)}"

    def video(self, number: int, letter: str, expires: int, *, dead: bool = False) -> str:
        """The video in one of QUALITIES."""
        path = f"/video/tos/cn/{self.region.video_store}/o{self._token(number, 0, 'v')}{letter}/"
        query = "a=4066&ch=0&cr=0&dr=0&cd=0%7C0%7C0%7C0&br=7054&bt=7054&cs=0&ds=3&mime_type=video_mp4&qs=0"
        return f"{self.video_base}{path}?{query}&{self._signed(path, expires, dead)}"

    def _signed(self, path: str, expires: int, dead: bool) -> str:
        signature = _signature(self.seed, path, expires, "revoked" if dead else "")
        return f"x-expires={expires}&x-signature={signature.translate(_QUOTED)}"

    def _token(self, number: int, index: int, kind: str) -> str:
        return f"{number:08x}{index:02x}{_digest(self.seed, number, index, kind)}"


def _space(region: Region) -> str:
    return region.image_store.rsplit("-", 1)[1]


def _digest(seed: int, number: int, index: int, kind: str) -> str:
    return hashlib.sha256(f"{seed}/{number}/{index}/{kind}".encode()).hexdigest()[:22]


def _signature(seed: int, path: str, expires: int, mark: str) -> str:
    text = f"{path}?{expires}{mark}".encode()
    return base64.b64encode(hmac.digest(f"links/{seed}".encode(), text, "sha1")).decode()


def resolve(region: Region, seed: int, path: str) -> FileRef | None:
    """What a decoded media path leads to; None for a path that no link has."""
    if path.startswith(f"/{region.image_store}/"):
        token, _, suffix = path.removeprefix(f"/{region.image_store}/").partition("~")
        variant = "image" if suffix.endswith(".png") else "cover"
        return _reference(seed, token, "i", variant)
    prefix = f"/video/tos/cn/{region.video_store}/o"
    token = path.removeprefix(prefix).rstrip("/")
    if not path.startswith(prefix) or token[-1:] not in QUALITIES:
        return None
    return _reference(seed, token[:-1], "v", QUALITIES[token[-1]])


def _reference(seed: int, token: str, kind: str, variant: str) -> FileRef | None:
    try:
        number, index = int(token[:8], 16), int(token[8:10], 16)
    except ValueError:
        return None
    if token[10:] != _digest(seed, number, index, kind):
        return None
    return FileRef(number, index, variant)


def valid(seed: int, path: str, query: str, now: float) -> bool:
    """Whether the query signs this path (decoded) and has not expired."""
    values = parse_qs(query)
    try:
        expires = int(values["x-expires"][0])
        given = values["x-signature"][0]
    except (KeyError, ValueError):
        return False
    right = _signature(seed, path, expires, "")
    # A client that turned %2B into a bare plus sends what parses as a space.
    return hmac.compare_digest(given.replace(" ", "+").encode(), right.encode()) and now < expires
