"""What the references of a wish are for: material for the prompt, or the frames a video begins and ends with.

A model takes them in one of these ways, never in two at once. Where a model knows frames only, pictures that
came without a role are its first and last frame: that is what its other clients mean by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jimeng_gateway.domain import marks
from jimeng_gateway.domain.catalogue import FIRST_FRAME_INPUT, LAST_FRAME_INPUT, Model
from jimeng_gateway.domain.errors import InvalidRequest
from jimeng_gateway.domain.materials import SITE_IMAGE, refuse_beyond, refuse_single, shown
from jimeng_gateway.domain.reference import Media, Reference, Role
from jimeng_gateway.domain.request import Kind

_FRAMES = (Role.FIRST_FRAME, Role.LAST_FRAME)


def placed(references: Sequence[Reference], prompt: str, model: Model) -> tuple[Reference, ...]:
    """The references with the roles in which the model takes them, in the same order.

    InvalidRequest if it does not take them so, and for a mark in the prompt that means nothing.
    """
    roles = {reference.role for reference in references}
    if roles.isdisjoint(_FRAMES) and _knows_only_frames(model):
        references = _as_frames(references, model)
        roles = {reference.role for reference in references}
    if roles.isdisjoint(_FRAMES):
        _check_material(references, prompt, model)
    elif Role.REFERENCE in roles:
        raise _refusal("frames and references cannot be given together; give each of them the same use")
    else:
        _check_frames(references, prompt, model)
    return tuple(references)


def first_frame(references: Sequence[Reference]) -> Reference | None:
    """The picture that the video begins with."""
    return next((entry for entry in references if entry.role is Role.FIRST_FRAME), None)


def _knows_only_frames(model: Model) -> bool:
    return model.kind is Kind.VIDEO and model.materials is None and FIRST_FRAME_INPUT in model.inputs


def _as_frames(references: Sequence[Reference], model: Model) -> Sequence[Reference]:
    if len(references) > len(_FRAMES):
        raise _refusal(
            f"{model.name} takes a first and a last frame, not {len(references)} references; "
            "choose a model that takes references"
        )
    return [replace(entry, role=role) for entry, role in zip(references, _FRAMES, strict=False)]


def _check_material(references: Sequence[Reference], prompt: str, model: Model) -> None:
    if references and model.materials is None:
        raise _refusal(f"{model.name} takes no references; {shown(references[0], 1)} cannot be used")
    if references and model.materials is not None:
        refuse_beyond(references, model.materials, model.name)
    marks.bind(prompt, references)


def _check_frames(references: Sequence[Reference], prompt: str, model: Model) -> None:
    for number, entry in enumerate(references, start=1):
        what, name = entry.role.replace("_", " "), shown(entry, number)
        needed = FIRST_FRAME_INPUT if entry.role is Role.FIRST_FRAME else LAST_FRAME_INPUT
        if model.kind is not Kind.VIDEO or needed not in model.inputs:
            raise _refusal(f"{name}: {model.name} takes no {what}")
        if entry.kind is not Media.IMAGE:
            raise _refusal(f"{name}: a {what} must be a picture, not {entry.kind}")
        if sum(other.role is entry.role for other in references) > 1:
            raise _refusal(f"{name}: there can be only one {what}")
        refuse_single(entry, SITE_IMAGE, number)
    if first_frame(references) is None:
        raise _refusal("a last frame needs a first frame beside it")
    if marks.mentioned(prompt, references):
        raise InvalidRequest(
            "prompt: marks like @1 mean nothing when pictures are the first or last frame; leave them out",
            param="prompt",
        )


def _refusal(message: str) -> InvalidRequest:
    return InvalidRequest(message, param="references", code="reference_refused")
