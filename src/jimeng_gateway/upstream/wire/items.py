"""The pictures and videos of a record, each with the best address in the reply (jimeng-web.md 7.4)."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping

from jimeng_gateway.domain.record import Item
from jimeng_gateway.upstream.wire.protocol import Protocol
from jimeng_gateway.upstream.wire.read import integer, mapping, mappings, positive, text, web_address

#: `generate_type` of records whose items are videos (7.2).
_VIDEO_TYPES = (10, 32)
#: Width of a preview, where there is a choice.
_PREVIEW_PIXELS = 720


def items_of(record: Mapping[str, object], protocol: Protocol) -> tuple[Item, ...]:
    """All usable items; those without an address are left out."""
    videos = integer(record.get("generate_type")) in _VIDEO_TYPES
    entries = list(mappings(record.get("item_list")))
    found = tuple(item for entry in entries if (item := item_of(entry, videos=videos)))
    if found or not (videos or any("video" in entry for entry in entries)):
        return found
    return _last_resort(record, entries, protocol)


def item_of(entry: Mapping[str, object], *, videos: bool = False) -> Item | None:
    """One entry of `item_list`; None if it has no address."""
    if mapping(entry.get("video")) or videos:
        return _video(entry)
    return _image(entry)


def _image(entry: Mapping[str, object]) -> Item | None:
    large = list(mappings(mapping(entry.get("image")).get("large_images")))
    large = large[:1] + sorted(large[1:], key=_pixels, reverse=True)
    best = next((image for image in large if web_address(image.get("image_url"))), None)
    if best is not None:
        return Item(
            kind="image",
            item_id=_item_id(entry),
            url=web_address(best.get("image_url")),
            width=positive(best.get("width")),
            height=positive(best.get("height")),
            format=text(best.get("format")) or text(mapping(entry.get("image")).get("format")),
            preview_url=preview_of(entry),
        )
    if integer(mapping(entry.get("gen_result_data")).get("result_code")) not in (None, 0):
        return None  # it failed; its cover, if any, is a placeholder
    url = next(_covers(entry), "")
    if not url:
        return None
    return Item(kind="image", item_id=_item_id(entry), url=url, preview_url=preview_of(entry))


def preview_of(entry: Mapping[str, object]) -> str:
    """The cover nearest to 720 pixels, the larger of two; the only one where there is no choice."""
    video, common = mapping(entry.get("video")), mapping(entry.get("common_attr"))
    covers = mapping(common.get("cover_url_map"))
    sizes = {pixels: covers[name] for name in covers if (pixels := _size(name))}
    nearest = sorted(sizes, key=lambda pixels: (abs(pixels - _PREVIEW_PIXELS), -pixels))
    candidates = [*(sizes[pixels] for pixels in nearest), video.get("cover_url"), common.get("cover_url")]
    return next((url for candidate in candidates if (url := web_address(candidate))), "")


def _size(name: str) -> int:
    return int(name) if name.isascii() and name.isdigit() and len(name) < 6 else 0


def _covers(entry: Mapping[str, object]) -> Iterator[str]:
    common = mapping(entry.get("common_attr"))
    covers = mapping(common.get("cover_url_map"))
    by_size = sorted(covers, key=lambda name: integer(name) or 0, reverse=True)
    candidates = [*(covers[name] for name in by_size), common.get("cover_url")]
    candidates += [entry.get("image_url"), entry.get("url")]
    return (url for candidate in candidates if (url := web_address(candidate)))


def _video(entry: Mapping[str, object]) -> Item | None:
    url = next(_video_addresses(entry), "")
    if not url:
        return None
    video = mapping(entry.get("video"))
    origin = mapping(mapping(video.get("transcoded_video")).get("origin"))
    seconds = positive(video.get("duration"))
    return Item(
        kind="video",
        item_id=_item_id(entry),
        url=url,
        width=positive(origin.get("width")),
        height=positive(origin.get("height")),
        duration_ms=positive(video.get("duration_ms")) or (seconds * 1000 if seconds else None),
        format=text(origin.get("format")) or "mp4",
        preview_url=preview_of(entry),
    )


def _video_addresses(entry: Mapping[str, object]) -> Iterator[str]:
    video, common = mapping(entry.get("video")), mapping(entry.get("common_attr"))
    yield from _from_video_model(video.get("video_model"))
    for holder in (video, common, mapping(common.get("video"))):
        yield from _from_transcoded(holder.get("transcoded_video"))
    for name in ("play_url", "download_url", "url", "video_url"):
        yield from _address(video.get(name))
    yield from _address(mapping(video.get("origin_video")).get("video_url"))
    yield from _address(entry.get("video_url"))


def _address(value: object) -> Iterator[str]:
    url = web_address(value)
    if url:
        yield url


def _from_transcoded(value: object) -> Iterator[str]:
    variants = mapping(value)
    yield from _address(mapping(variants.get("origin")).get("video_url"))
    for variant in sorted((mapping(v) for v in variants.values()), key=_pixels, reverse=True):
        yield from _address(variant.get("video_url"))


def _from_video_model(value: object) -> Iterator[str]:
    """Addresses in base64 inside a JSON string; without a watermark, so the best of the record."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return
    listed = mapping(value).get("video_list")
    variants = list(mapping(listed).values()) if isinstance(listed, dict) else listed
    entries = sorted(
        mappings(variants), key=lambda v: (text(v.get("definition")) == "origin", _pixels(v)), reverse=True
    )
    for entry in entries:
        for name in ("main_url", "backup_url_1"):
            yield from _address(_unpacked(text(entry.get(name))))


def _unpacked(packed: str) -> str:
    if packed.startswith("http"):
        return packed
    try:
        padded = packed + "=" * (-len(packed) % 4)
        return base64.b64decode(padded, altchars=b"-_" if {"-", "_"} & set(packed) else None).decode()
    except (binascii.Error, ValueError):
        return ""


def _last_resort(
    record: Mapping[str, object], entries: list[Mapping[str, object]], protocol: Protocol
) -> tuple[Item, ...]:
    # Written as JSON again, every address stands between quotes and the pattern knows where it ends.
    found = re.search(protocol.results.video_pattern, json.dumps(record, default=str))
    if not found:
        return ()
    item_id = _item_id(entries[0]) if entries else ""
    preview_url = preview_of(entries[0]) if entries else ""
    return (Item(kind="video", item_id=item_id, url=found[0], format="mp4", preview_url=preview_url),)


def _item_id(entry: Mapping[str, object]) -> str:
    """First of the names that 7.5 lists."""
    common = mapping(entry.get("common_attr"))
    values = (entry.get("item_id"), entry.get("id"), entry.get("local_item_id"), common.get("id"))
    return next((found for value in values if (found := text(value))), "")[:100]


def _pixels(entry: Mapping[str, object]) -> int:
    width = positive(entry.get("width")) or positive(entry.get("vwidth")) or 0
    height = positive(entry.get("height")) or positive(entry.get("vheight")) or 0
    return width * height
