"""References and what the site made of them, for tests of bodies and of the steps around them."""

from __future__ import annotations

from dataclasses import replace

from jimeng_gateway.domain.intake import Wish
from jimeng_gateway.domain.ports import Order
from jimeng_gateway.domain.reference import Media, Reference, Role, Uploaded
from support.wire import an_order

IMAGE, VIDEO, AUDIO = Media.IMAGE, Media.VIDEO, Media.AUDIO


def a_reference(kind: Media = IMAGE, number: int = 1, **fields: object) -> Reference:
    """A picture, a clip of 6 s, or a sound of 4.2 s, distinct by its number."""
    usual = {
        IMAGE: Reference(IMAGE, f"{number:064x}", "image/png", 345_678, width=1024, height=768),
        VIDEO: Reference(
            VIDEO,
            f"{number:064x}",
            "video/mp4",
            1_405_680,
            width=1280,
            height=720,
            duration_ms=6000,
            fps=24.0,
        ),
        AUDIO: Reference(AUDIO, f"{number:064x}", "audio/mpeg", 67_200, duration_ms=4200),
    }[kind]
    return replace(usual, **fields)  # type: ignore[arg-type]


def an_upload(reference: Reference, number: int = 1) -> Uploaded:
    """The reference as the site knows it."""
    image = reference.kind is IMAGE
    return Uploaded(
        kind=reference.kind,
        handle=f"tos-cn-i-tb4s082cfz/{number:032x}" if image else f"v0{number:030x}",
        width=reference.width,
        height=reference.height,
        duration_ms=reference.duration_ms,
        fps=reference.fps,
        format=reference.media_type.partition("/")[2] if image else "MP4",
    )


def with_references(wish: Wish, *references: Reference) -> Order:
    """The submit of a wish with uploaded references, whatever intake would say about them."""
    order = an_order(replace(wish, prompt="-"))
    return replace(
        order,
        request=replace(order.request, prompt=wish.prompt, references=references),
        uploads=tuple(an_upload(found, number) for number, found in enumerate(references, start=1)),
    )


def frames(*roles: Role) -> tuple[Reference, ...]:
    """A picture for each role."""
    return tuple(a_reference(IMAGE, number, role=role) for number, role in enumerate(roles, start=1))
