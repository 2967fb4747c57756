"""Keys: made, shown once, recognised, revoked."""

from __future__ import annotations

import hmac

from jimeng_gateway.clock import new_id
from jimeng_gateway.domain import aliases
from jimeng_gateway.domain.errors import NotFound, Unauthenticated
from jimeng_gateway.domain.options import KeyOptions
from jimeng_gateway.gateway.desk import ADMIN, Caller, Desk, GatewayParts
from jimeng_gateway.secrets import digest, new_api_key
from jimeng_gateway.store import keys
from jimeng_gateway.store.database import Tx
from jimeng_gateway.store.keys import Key

#: Where the hash of the admin token lies if the operator did not choose one.
ADMIN_SETTING = "admin.digest"
#: A key's last use is written down at most this often, in milliseconds.
TOUCH_EVERY_MS = 60_000


class KeyDesk(Desk):
    """Who may ask."""

    def __init__(self, parts: GatewayParts) -> None:
        super().__init__(parts)
        self._touched: dict[str, int] = {}

    async def authenticate(self, token: str) -> Caller:
        """The caller behind a bearer token; Unauthenticated for any other text."""
        hashed = digest(token)
        admin, key = await self._db.read(lambda tx: (self._admin_digest(tx), keys.by_digest(tx, hashed)))
        if admin and hmac.compare_digest(admin, hashed):
            return ADMIN
        if key is None:
            raise Unauthenticated("this key is not valid: it is unknown or was revoked")
        await self._touch(key.id)
        return Caller(key.id, key.name, key.role == "admin", key.options)

    def _admin_digest(self, tx: Tx) -> str:
        if self._parts.admin_digest:
            return self._parts.admin_digest
        row = tx.one("setting_get", name=ADMIN_SETTING)
        return "" if row is None else str(row["value"])

    async def _touch(self, key_id: str) -> None:
        now = self._clock.now()
        if now - self._touched.get(key_id, 0) < TOUCH_EVERY_MS:
            return
        self._touched[key_id] = now
        await self._db.write(lambda tx: tx.run("key_used", id=key_id, now=now))

    async def first_admin_token(self) -> str | None:
        """Makes the admin token if the operator chose none and there is none yet; shown once."""
        if self._parts.admin_digest:
            return None
        token, now = new_api_key(), self._clock.now()
        made = await self._db.write(
            lambda tx: tx.run("setting_put_once", name=ADMIN_SETTING, value=digest(token), now=now)
        )
        return token if made else None

    async def create_key(self, name: str, *, admin: bool = False) -> tuple[Key, str]:
        """A new key and its secret, which is nowhere else from now on."""
        secret, now = new_api_key(), self._clock.now()
        key = Key(new_id("key", now), name, "admin" if admin else "user", secret[:7], now)
        await self._db.write(lambda tx: keys.insert(tx, key, digest(secret)))
        return key, secret

    async def keys(self) -> list[Key]:
        """Every key, revoked ones included."""
        return await self._db.read(keys.find_all)

    async def set_key_options(self, key_id: str, options: KeyOptions) -> Key:
        """Chooses what callers of a key get by default; InvalidRequest for an alias that leads nowhere."""
        wrong = aliases.unknown(options.aliases, await self._parts.catalogue.current())
        if wrong is not None:
            raise wrong

        def body(tx: Tx) -> Key | None:
            keys.set_options(tx, key_id, options)
            return keys.get(tx, key_id)

        key = await self._db.write(body)
        if key is None:
            raise NotFound(f"there is no key {key_id}")
        return key

    async def key(self, key_id: str) -> Key:
        """One key, also one that was revoked."""
        found = await self._db.read(lambda tx: keys.get(tx, key_id))
        if found is None:
            raise NotFound(f"there is no key {key_id}")
        return found

    async def revoke_key(self, key_id: str) -> Key:
        """Ends a key for good; revoking it again changes nothing."""
        now = self._clock.now()

        def body(tx: Tx) -> Key | None:
            tx.run("key_revoke", id=key_id, now=now)
            return keys.get(tx, key_id)

        key = await self._db.write(body)
        if key is None:
            raise NotFound(f"there is no key {key_id}")
        return key
