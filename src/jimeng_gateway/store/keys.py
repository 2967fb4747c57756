"""API keys: stored as a hash, shown once."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from jimeng_gateway.domain.options import KeyOptions
from jimeng_gateway.store.database import Row, Tx


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the store knows it; the secret itself is nowhere."""

    id: str
    name: str
    #: "user" or "admin".
    role: str
    #: The first characters, so that people can tell keys apart.
    prefix: str
    created_at: int
    last_used_at: int | None = None
    revoked_at: int | None = None
    options: KeyOptions = field(default_factory=KeyOptions)


def insert(tx: Tx, key: Key, digest: str) -> None:
    """Writes a new key."""
    tx.run(
        "key_insert",
        id=key.id,
        name=key.name,
        role=key.role,
        digest=digest,
        prefix=key.prefix,
        now=key.created_at,
    )


def by_digest(tx: Tx, digest: str) -> Key | None:
    """The valid key with this hash."""
    row = tx.one("key_by_digest", digest=digest)
    return None if row is None else _from_row(row)


def get(tx: Tx, key_id: str) -> Key | None:
    """One key, revoked ones included."""
    row = tx.one("key_get", id=key_id)
    return None if row is None else _from_row(row)


def find_all(tx: Tx) -> list[Key]:
    """Every key, oldest first."""
    return [_from_row(row) for row in tx.all("key_list")]


def set_options(tx: Tx, key_id: str, options: KeyOptions) -> None:
    """What callers of the key get unless they say otherwise."""
    tx.run("key_options", id=key_id, options=msgspec.json.encode(options).decode())


def _from_row(row: Row) -> Key:
    return Key(
        id=row["id"],
        name=row["name"],
        role=row["role"],
        prefix=row["prefix"],
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
        revoked_at=row["revoked_at"],
        options=msgspec.json.decode(row["options"], type=KeyOptions),
    )
