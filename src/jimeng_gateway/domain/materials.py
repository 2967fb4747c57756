"""How many references a model takes, and how large, long and wide they may be (jimeng-web.md 5.5, 6.5).

Checked before anything is queued: the site would refuse such a request too, but only after the uploads. Every
refusal names the file and the limit. A megabyte is 1024 * 1024 bytes, as in the pages of the site.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import ceil

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.reference import Media, Reference

MB = 1024 * 1024

#: What the site takes at all (6.5), by content.
MEDIA_TYPES: dict[Media, tuple[str, ...]] = {
    Media.IMAGE: ("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp"),
    Media.VIDEO: ("video/mp4", "video/quicktime"),
    Media.AUDIO: ("audio/mpeg", "audio/wav"),
}


@dataclass(frozen=True, slots=True)
class KindLimits:
    """What is allowed for one kind of material; 0 where nothing is declared."""

    #: How many; 0: none of this kind is taken.
    most: int = 0
    #: Bytes of each.
    largest: int = 0
    shortest_ms: int = 0
    longest_ms: int = 0
    #: Of all together.
    total_ms: int = 0
    #: Pixels of the short side, and of the long side.
    least_side: int = 0
    most_side: int = 0
    #: Width over height.
    least_ratio: float = 0.0
    most_ratio: float = 0.0


@dataclass(frozen=True, slots=True)
class MaterialLimits:
    """What a model takes besides the prompt."""

    image: KindLimits = KindLimits()
    video: KindLimits = KindLimits()
    audio: KindLimits = KindLimits()
    #: All kinds together; 0 where nothing is declared.
    most: int = 0
    #: At least one must be of one of these kinds.
    any_of: tuple[Media, ...] = ()

    def of(self, kind: Media) -> KindLimits:
        """The limits of one kind."""
        return {Media.IMAGE: self.image, Media.VIDEO: self.video, Media.AUDIO: self.audio}[kind]


#: Any picture, wherever it is used (6.5).
SITE_IMAGE = KindLimits(largest=30 * MB)


def pictures(most: int) -> MaterialLimits | None:
    """The limits of a model that takes so many pictures and nothing else; None for none."""
    if most <= 0:
        return None
    return MaterialLimits(image=KindLimits(most=most, largest=SITE_IMAGE.largest), most=most)


def completed(live: MaterialLimits | None, known: MaterialLimits | None) -> MaterialLimits | None:
    """What the site declares now, with the gaps filled from the built-in table.

    A kind that the site does not list is no longer taken, whatever the table says.
    """
    if live is None or known is None:
        return live or known
    return MaterialLimits(
        image=_filled(live.image, known.image),
        video=_filled(live.video, known.video),
        audio=_filled(live.audio, known.audio),
        most=live.most or known.most,
        any_of=live.any_of or known.any_of,
    )


def _filled(live: KindLimits, known: KindLimits) -> KindLimits:
    if not live.most:
        return live
    names = (field.name for field in fields(KindLimits))
    return KindLimits(**{name: getattr(live, name) or getattr(known, name) for name in names})


def refuse_beyond(references: Sequence[Reference], limits: MaterialLimits, model: str) -> None:
    """InvalidRequest, naming the file and the limit, if the model does not take all of these."""
    for kind in Media:
        _refuse_count(kind, [entry for entry in references if entry.kind is kind], limits, model)
    if limits.most and len(references) > limits.most:
        raise _refusal(f"{model} takes at most {limits.most} references together, not {len(references)}")
    for number, reference in enumerate(references, start=1):
        refuse_single(reference, limits.of(reference.kind), number)
    for kind in Media:
        _refuse_total(kind, references, limits.of(kind), model)
    if limits.any_of and not any(reference.kind in limits.any_of for reference in references):
        wanted = " or ".join(f"one {kind}" for kind in limits.any_of)
        raise _refusal(f"{model} needs at least {wanted} among the references")


def _refuse_count(kind: Media, given: Sequence[Reference], limits: MaterialLimits, model: str) -> None:
    most = limits.of(kind).most
    if not given or len(given) <= most:
        return
    if most:
        first = shown(given[most], most + 1)
        raise _refusal(
            f"{model} takes at most {most} {kind} references, not {len(given)}; {first} is too much"
        )
    taken = ", ".join(f"{limits.of(other).most} {other}" for other in Media if limits.of(other).most)
    raise _refusal(f"{shown(given[0], 1)}: {model} takes no {kind} references; it takes at most {taken}")


def _refuse_total(kind: Media, references: Sequence[Reference], limits: KindLimits, model: str) -> None:
    total = sum(reference.duration_ms for reference in references if reference.kind is kind)
    if limits.total_ms and total > limits.total_ms:
        raise _refusal(
            f"the {kind} references last {_seconds(total)} together; "
            f"at most {_seconds(limits.total_ms)} are allowed for {model}"
        )


def refuse_single(reference: Reference, limits: KindLimits, number: int) -> None:
    """InvalidRequest if this one file is too large, too long, too wide …; `number` is its place, from 1."""
    problem = _size(reference, limits) or _length(reference, limits) or _pixels(reference, limits)
    if problem:
        raise _refusal(f"{shown(reference, number)}: {problem}")


def _size(reference: Reference, limits: KindLimits) -> str | None:
    if limits.largest and reference.size > limits.largest:
        return f"{_megabytes(reference.size)} MB; at most {limits.largest / MB:g} MB are allowed"
    return None


def _length(reference: Reference, limits: KindLimits) -> str | None:
    length = reference.duration_ms
    if limits.shortest_ms and length < limits.shortest_ms:
        return f"{_seconds(length)} long; at least {_seconds(limits.shortest_ms)} are needed"
    if limits.longest_ms and length > limits.longest_ms:
        return f"{_seconds(length)} long; at most {_seconds(limits.longest_ms)} are allowed"
    return None


def _pixels(reference: Reference, limits: KindLimits) -> str | None:
    width, height = reference.width, reference.height
    size = f"{width}x{height} pixels"
    if limits.least_side and min(width, height) < limits.least_side:
        return f"{size}; each side needs at least {limits.least_side}"
    if limits.most_side and max(width, height) > limits.most_side:
        return f"{size}; each side may have at most {limits.most_side}"
    if limits.least_ratio and width < limits.least_ratio * height:
        return f"{size}; its width must be at least {limits.least_ratio:g} of its height"
    if limits.most_ratio and width > limits.most_ratio * height:
        return f"{size}; its width may be at most {limits.most_ratio:g} times its height"
    return None


def shown(reference: Reference, number: int) -> str:
    """A reference in a message: by its name, else by its place."""
    return reference.name or f"reference {number}"


def _megabytes(size: int) -> str:
    """Rounded up, so that what is too large never looks as if it fitted."""
    return f"{ceil(size / MB * 10) / 10:g}"


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:g} s"


def _refusal(message: str) -> InvalidRequest:
    return InvalidRequest(message, param="references", code="reference_refused")
