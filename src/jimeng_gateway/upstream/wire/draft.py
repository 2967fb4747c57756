"""What image and video drafts have in common: every object in them has a type and an id of its own."""

from __future__ import annotations

from collections.abc import Callable

from jimeng_gateway.domain.reference import Uploaded

Ids = Callable[[], str]


def node(ids: Ids, **fields: object) -> dict[str, object]:
    """An object of a draft."""
    return {"type": "", "id": ids(), **fields}


def component(ids: Ids, kind: str, min_version: str, now_ms: int) -> dict[str, object]:
    """The head of a component; its creation time is a string of milliseconds (jimeng-web.md 11)."""
    return {
        "type": kind,
        "id": ids(),
        "min_version": min_version,
        "aigc_mode": "workbench",
        "metadata": node(
            ids,
            created_platform=3,
            created_platform_version="",
            created_time_in_ms=str(now_ms),
            created_did="",
        ),
    }


def picture(ids: Ids, uploaded: Uploaded, image_format: str = "", **fields: object) -> dict[str, object]:
    """An uploaded picture, as frames, blends and omni references name it (3.5, 4.4, 5.3)."""
    return {
        "type": "image",
        "id": ids(),
        "source_from": "upload",
        "platform_type": 1,
        "name": "",
        "image_uri": uploaded.handle,
        **fields,
        "width": uploaded.width,
        "height": uploaded.height,
        "format": image_format,
        "uri": uploaded.handle,
    }


def draft(
    ids: Ids, min_version: str, version: str, part: dict[str, object], features: tuple[str, ...] = ()
) -> dict[str, object]:
    """A draft of one component; `features` are what a reader of it must know."""
    return {
        "type": "draft",
        "id": ids(),
        "min_version": min_version,
        "min_features": list(features),
        "is_from_tsn": True,
        "version": version,
        "main_component_id": part["id"],
        "component_list": [part],
    }
