"""Which words of a prompt mean a reference, and where the references stand that the prompt does not mention.

Marks are read in one place, so that intake refuses exactly what the payload could not express:

    @1  @图1  @image1              the n-th reference, whatever it is
    @图片1 @picture1               the n-th picture
    @视频1 @video1                 the n-th video
    @音频1 @audio1                 the n-th sound
    @name                          the reference of that name

Both numberings are in use (jimeng-web.md 5.4): `@image1` counts as `@1` does, since that is what the clients
that write it mean, and `@图片1` counts pictures alone, as the site's own page does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.reference import Media, Reference

_NUMBERED = re.compile(r"(图片|图|视频|音频|image|picture|video|audio)?([0-9０-９]+)", re.IGNORECASE)
_KINDS = {
    "图片": Media.IMAGE,
    "picture": Media.IMAGE,
    "视频": Media.VIDEO,
    "video": Media.VIDEO,
    "音频": Media.AUDIO,
    "audio": Media.AUDIO,
}
_AT = re.compile("[@＠]")
#: Ends in a local part when it stands directly before an @.
_LOCAL_PART = re.compile(r"[A-Za-z0-9._%+-]+\Z")
_DOMAIN = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
_WORD = re.compile(r"[A-Za-z0-9_]")
#: More digits than this are no number of a reference.
_MOST_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the prompt as it was written."""

    text: str


@dataclass(frozen=True, slots=True)
class Mention:
    """A place where a reference is meant."""

    #: Into the references, from 0.
    index: int


Segment = Text | Mention


@dataclass(frozen=True, slots=True)
class _Mark:
    """A mark in the prompt: where it begins and ends, and what it means."""

    start: int
    end: int
    index: int


def bind(prompt: str, references: Sequence[Reference]) -> tuple[Segment, ...]:
    """The prompt as texts and mentions in order (5.4); references that it does not mention come first.

    Spaces are kept, except that a text of nothing but white space is left out. InvalidRequest for a number
    that no reference has, and for a mark that could mean two.
    """
    segments: list[Segment] = []
    done = 0
    for mark in _marks(prompt, references):
        segments += [Text(prompt[done : mark.start]), Mention(mark.index)]
        done = mark.end
    segments.append(Text(prompt[done:]))
    mentioned = {segment.index for segment in segments if isinstance(segment, Mention)}
    in_front = [Mention(index) for index in range(len(references)) if index not in mentioned]
    kept = [segment for segment in segments if isinstance(segment, Mention) or segment.text.strip()]
    return (*in_front, *kept)


def mentioned(prompt: str, references: Sequence[Reference]) -> tuple[int, ...]:
    """The references that the prompt itself mentions, in the order of the text; raises as `bind` does."""
    return tuple(mark.index for mark in _marks(prompt, references))


def _marks(prompt: str, references: Sequence[Reference]) -> Iterator[_Mark]:
    done = 0
    for sign in _AT.finditer(prompt):
        # An @ within the name of a reference is no mark of its own.
        if sign.start() < done or _is_address(prompt, done, sign):
            continue
        mark = _mark_at(prompt, sign, references)
        if mark is not None:
            done = mark.end
            yield mark


def _is_address(prompt: str, done: int, sign: re.Match[str]) -> bool:
    """Whether the @ stands in something like an e-mail address: a name before it, a dotted domain behind."""
    if not _DOMAIN.match(prompt, sign.end()):
        return False
    return _LOCAL_PART.search(prompt, max(done, sign.start() - 64), sign.start()) is not None


def _mark_at(prompt: str, sign: re.Match[str], references: Sequence[Reference]) -> _Mark | None:
    start = sign.end()
    found = [
        (start + len(reference.name), index)
        for index, reference in enumerate(references)
        if _is_name(prompt, start, reference.name)
    ]
    end, numbered = _numbered(prompt, start, references)
    if numbered is not None:
        found.append((end, numbered))
    longest = max((end for end, _ in found), default=start)
    if end > longest:
        raise _unknown(prompt[sign.start() : end], references)
    meant = {index for end, index in found if end == longest}
    if len(meant) > 1:
        places = " and ".join(str(index + 1) for index in sorted(meant))
        raise InvalidRequest(
            f"prompt: {_shown(prompt[sign.start() : longest])} could mean reference {places}; "
            "rename one, or use a number",
            param="prompt",
            code="ambiguous_mark",
        )
    return _Mark(sign.start(), longest, meant.pop()) if meant else None


def _is_name(prompt: str, start: int, name: str) -> bool:
    """Whether the name stands there; one that ends in a letter or digit is not the beginning of a word."""
    end = start + len(name)
    if not name or prompt[start:end].casefold() != name.casefold():
        return False
    return not (_WORD.match(name[-1]) and _WORD.match(prompt, end))


def _numbered(prompt: str, start: int, references: Sequence[Reference]) -> tuple[int, int | None]:
    """The end of the numbered mark there and what it means; None for a number that no reference has."""
    match = _NUMBERED.match(prompt, start)
    # "@2D" is a word. After a word like 图 letters may follow at once: Chinese has no spaces.
    if match is None or (match[1] is None and _WORD.match(prompt, match.end())):
        return start, None
    kind = _KINDS.get((match[1] or "").lower())
    places = [index for index, reference in enumerate(references) if kind in (None, reference.kind)]
    number = int(match[2]) if len(match[2]) <= _MOST_DIGITS else 0
    return match.end(), places[number - 1] if 1 <= number <= len(places) else None


def _unknown(mark: str, references: Sequence[Reference]) -> InvalidRequest:
    return InvalidRequest(
        f"prompt: {_shown(mark)} means a reference that there is not; {_inventory(references)}",
        param="prompt",
        code="unknown_mark",
    )


def _inventory(references: Sequence[Reference]) -> str:
    """What there is: "there are 3 references: 2 images, 1 audio"."""
    if not references:
        return "the request has no references"
    counts = [(kind, sum(reference.kind is kind for reference in references)) for kind in Media]
    listed = ", ".join(f"{count} {kind}{'s' * (count > 1)}" for kind, count in counts if count)
    are = "is 1 reference" if len(references) == 1 else f"are {len(references)} references"
    return f"there {are} ({listed})"


def _shown(mark: str) -> str:
    return mark if len(mark) <= 40 else f"{mark[:40]}…"
