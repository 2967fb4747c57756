"""From a pasted credential to a stored one, and from a stored one to what a call carries.

The only place where a credential is readable: it comes in as text, leaves sealed, and is opened again for no
longer than a call needs it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from jimeng_gateway.domain.errors import NotFound
from jimeng_gateway.domain.ports import Clock
from jimeng_gateway.domain.session import Identity
from jimeng_gateway.secrets import Vault
from jimeng_gateway.store import sessions
from jimeng_gateway.store.database import Database
from jimeng_gateway.store.sessions import StoredCredential
from jimeng_gateway.upstream.wire.identity import draw_web_id, identity, parse_credential


@dataclass(frozen=True, slots=True)
class Credentials:
    """Implements the Identities port over the store and the vault."""

    db: Database
    vault: Vault
    clock: Clock

    def seal(self, session_id: str, text: str, *, web_id: str | None = None) -> StoredCredential:
        """Checks what an operator pasted and seals it for this session; InvalidRequest if it is unusable.

        `web_id` keeps the number that the session has had so far; it is drawn when there is none.
        """
        credential = parse_credential(text)
        return StoredCredential(
            sealed=self.vault.seal(credential.cookie or credential.session_id, row=session_id),
            fingerprint=self.vault.fingerprint(credential.session_id),
            web_id=credential.web_id or web_id or draw_web_id(secrets.randbits(64)),
            expires_at=credential.expires_at,
        )

    async def open(self, session_id: str) -> Identity:
        """See Identities."""
        stored = await self.db.read(lambda tx: sessions.sealed(tx, session_id))
        if stored is None:
            raise NotFound(f"there is no session {session_id}")
        credential = parse_credential(self.vault.open(stored.credential, row=session_id))
        opened = identity(credential, stored.web_id, session_id, self.clock.now(), stored.region)
        return replace(opened, route=stored.route, login=stored.fingerprint)
