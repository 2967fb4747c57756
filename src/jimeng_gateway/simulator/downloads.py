"""The CDN: finished files behind signed links, with Range and HEAD."""

from __future__ import annotations

import re

from jimeng_gateway.simulator import links, media
from jimeng_gateway.simulator.job import Job, view
from jimeng_gateway.simulator.links import FileRef
from jimeng_gateway.simulator.replies import Reply
from jimeng_gateway.simulator.traffic import Call
from jimeng_gateway.simulator.world import World, item_id

_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")
_PAGE = b"<!DOCTYPE html><html><head><title>Error</title></head><body>The file is not here.</body></html>"


def is_media(world: World, path: str) -> bool:
    """Whether the path belongs to the CDN."""
    return path.startswith((f"/{world.region.image_store}/", "/video/tos/"))


def download(world: World, call: Call, now: float) -> Reply:
    """The file, or what the CDN says instead."""
    if call.method not in ("GET", "HEAD"):
        return Reply(b"", 405)
    seed = world.options.seed
    if not links.valid(seed, call.path, call.raw_query, now):
        return Reply(b"Forbidden", 403, {"content-type": "text/plain"})
    found = links.resolve(world.region, seed, call.path)
    if found is None or found.number >= len(world.jobs):
        return Reply(b"Not Found", 404, {"content-type": "text/plain"})
    of = world.jobs[found.number]
    if found.index >= view(of, now).made:
        return Reply(b"Not Found", 404, {"content-type": "text/plain"})
    of.downloads += call.method == "GET"
    bad = of.ask.triggers.bad_file
    if bad < 0 or of.downloads <= bad:
        return Reply(_PAGE, headers={"content-type": "text/html"})
    return _ranged(_file(of, found), *_kind(found), call.headers.get("range"))


def _file(of: Job, found: FileRef) -> bytes:
    mark, big = item_id(of, found.index), of.ask.triggers.big
    if found.variant == "cover":
        return media.cover()
    if found.variant == "image":
        return media.picture(of.ask.width, of.ask.height, of.ask.prompt, mark, big=big)
    return media.clip(of.ask.aspect, mark, found.variant, big=big)


def _kind(found: FileRef) -> tuple[str, str]:
    kinds = {"cover": "image/webp", "image": "image/png"}
    return kinds.get(found.variant, "video/mp4"), f'"{found.number:x}-{found.index:x}-{found.variant}"'


def _ranged(content: bytes, kind: str, etag: str, wanted: str | None) -> Reply:
    headers = {"content-type": kind, "accept-ranges": "bytes", "etag": etag}
    asked = _RANGE.match(wanted) if wanted else None
    if asked is None or not (asked[1] or asked[2]):
        return Reply(content, headers=headers)
    size = len(content)
    first = int(asked[1]) if asked[1] else max(0, size - int(asked[2]))
    last = min(size - 1, int(asked[2])) if asked[1] and asked[2] else size - 1
    if first > last:
        return Reply(b"", 416, headers | {"content-range": f"bytes */{size}"})
    headers["content-range"] = f"bytes {first}-{last}/{size}"
    return Reply(content[first : last + 1], 206, headers)
