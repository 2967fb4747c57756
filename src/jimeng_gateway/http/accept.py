"""In which language a caller wants to be told, from headers as ASGI and uvicorn hand them out."""

from __future__ import annotations

from collections.abc import Iterable

from jimeng_gateway.domain.words import Language, of


def preferred(headers: Iterable[tuple[bytes, bytes]]) -> Language:
    """The language of a request by its headers, names in lower case; English where it says nothing."""
    return of(",".join(value.decode("latin-1") for name, value in headers if name == b"accept-language"))
