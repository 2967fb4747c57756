"""What callers of a key get unless they say otherwise: an operator's choice for the program behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ImageFormat(StrEnum):
    """In what form pictures are handed over where a dialect knows two."""

    URL = "url"
    B64_JSON = "b64_json"


class ArkStatus(StrEnum):
    """How ends that some clients do not know are told at the Ark door (clients.md 11)."""

    #: `cancelled` and `expired` as they are, but `failed` to clients known to wait for ever otherwise.
    AUTO = "auto"
    STRICT = "strict"
    LENIENT = "lenient"


@dataclass(frozen=True, slots=True)
class KeyOptions:
    """See the module."""

    #: Other names for models; they come before the operator's.
    aliases: Mapping[str, str] = field(default_factory=dict)
    #: None: what the dialect itself does.
    image_format: ImageFormat | None = None
    #: Seconds that a request waits for its task; None: what the route itself does.
    wait: float | None = None
    ark_status: ArkStatus = ArkStatus.AUTO
