"""The JSON of sessions and keys. Nothing here has a field for a credential, so none can slip out."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from jimeng_gateway.domain.errors import ErrorKind
from jimeng_gateway.domain.options import ArkStatus
from jimeng_gateway.domain.route import Route
from jimeng_gateway.domain.session import Account, Session, SessionState
from jimeng_gateway.domain.words import Language, failure_message
from jimeng_gateway.http.views import FailureBody, instant, maybe_instant
from jimeng_gateway.store.keys import Key


class SessionBody(msgspec.Struct, kw_only=True):
    """A login, without its credential."""

    id: str
    object: Literal["session"] = "session"
    label: str
    region: str
    enabled: bool
    state: SessionState
    reason: str | None
    reason_kind: ErrorKind | None
    cooling_until: str | None
    rests: int
    slots: int
    slots_taken: int
    route: Route
    last_used_at: str | None
    uid: str | None
    name: str | None
    credits: int | None
    checked_at: str | None
    expires_at: str | None
    created_at: str
    updated_at: str


class SessionList(msgspec.Struct, kw_only=True):
    """All sessions."""

    object: Literal["list"] = "list"
    data: list[SessionBody]


class AccountBody(msgspec.Struct, kw_only=True):
    """What the site says about the account."""

    uid: str
    name: str
    credits: int | None


class CheckBody(msgspec.Struct, kw_only=True):
    """What came of asking the site; valid only if the site itself said so."""

    valid: bool
    account: AccountBody | None
    error: FailureBody | None


class Deleted(msgspec.Struct, kw_only=True):
    """It is gone."""

    id: str
    object: str
    deleted: Literal[True] = True


def session_json(session: Session, language: Language = Language.EN) -> SessionBody:
    """A session as the operator sees it."""
    return SessionBody(
        id=session.id,
        label=session.label,
        region=session.region,
        enabled=session.enabled,
        state=session.state,
        reason=_reason(session, language),
        reason_kind=session.reason_kind,
        cooling_until=maybe_instant(session.cooling_until),
        rests=session.rests,
        slots=session.slots,
        slots_taken=session.slots_taken,
        route=session.route,
        last_used_at=maybe_instant(session.last_used_at or None),
        uid=session.uid,
        name=session.name,
        credits=session.credits,
        checked_at=maybe_instant(session.checked_at),
        expires_at=maybe_instant(session.expires_at),
        created_at=instant(session.created_at),
        updated_at=instant(session.updated_at),
    )


def _reason(session: Session, language: Language) -> str | None:
    if session.reason is None or session.reason_kind is None:
        return session.reason
    return failure_message(session.reason_kind, session.reason, language)


def account_json(account: Account | None) -> AccountBody | None:
    """An account, if the site told one."""
    if account is None:
        return None
    return AccountBody(uid=account.uid, name=account.name, credits=account.credits)


class KeyOptionsBody(msgspec.Struct, kw_only=True):
    """What callers of a key get unless they say otherwise."""

    aliases: dict[str, str]
    image_format: Literal["auto", "url", "b64_json"]
    #: Seconds that a request waits for its task.
    wait: float | Literal["auto"]
    ark_status: ArkStatus


class KeyBody(msgspec.Struct, kw_only=True):
    """A key, without its secret."""

    id: str
    object: Literal["key"] = "key"
    name: str
    role: Literal["user", "admin"]
    #: The first characters, to recognise it by.
    prefix: str
    created_at: str
    last_used_at: str | None
    revoked_at: str | None
    options: KeyOptionsBody


class NewKeyBody(KeyBody, kw_only=True):
    """A key just made, with the secret that is shown this once."""

    key: str


class KeyList(msgspec.Struct, kw_only=True):
    """All keys, revoked ones too."""

    object: Literal["list"] = "list"
    data: list[KeyBody]


def key_json(key: Key) -> KeyBody:
    """A key as the operator sees it."""
    return KeyBody(**_key_fields(key))


def new_key_json(key: Key, secret: str) -> NewKeyBody:
    """The same with its secret."""
    return NewKeyBody(key=secret, **_key_fields(key))


def _key_fields(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "prefix": key.prefix,
        "created_at": instant(key.created_at),
        "last_used_at": maybe_instant(key.last_used_at),
        "revoked_at": maybe_instant(key.revoked_at),
        "options": KeyOptionsBody(
            aliases=dict(key.options.aliases),
            image_format=key.options.image_format.value if key.options.image_format else "auto",
            wait="auto" if key.options.wait is None else key.options.wait,
            ark_status=key.options.ark_status,
        ),
    }
