"""The live catalogue as it was last read from the site, kept so that restarts and other nodes have it."""

from __future__ import annotations

import msgspec

from jimeng_gateway.domain.catalogue import Model
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.store.database import LOCK_UPKEEP, Tx

TOPIC = "catalogue"
_ASKED = "catalogue.asked"


def claim(tx: Tx, *, now: int, every: int) -> bool:
    """Whether it is time to read it again; at most one caller on all nodes hears yes per `every` ms."""
    tx.serialise(LOCK_UPKEEP)
    row = tx.one("setting_get", name=_ASKED)
    if row is not None and row["updated_at"] > now - every:
        return False
    tx.run("setting_put", name=_ASKED, value="", now=now)
    return True


def due(tx: Tx, *, at: int, every: int) -> None:
    """Lets the next reading come at that time instead of after `every` ms."""
    tx.run("setting_put", name=_ASKED, value="", now=at - every)


def keep(tx: Tx, kind: Kind, models: tuple[Model, ...], *, now: int) -> None:
    """Writes what the site lists for one kind."""
    value = msgspec.json.encode(models).decode()
    tx.run("setting_put", name=_name(kind), value=value, now=now)
    tx.notify(TOPIC)


def read_at(tx: Tx, kind: Kind) -> int:
    """When the site was last read for this kind; 0 for never."""
    row = tx.one("setting_get", name=_name(kind))
    return 0 if row is None else int(row["updated_at"])


def models(tx: Tx, kind: Kind) -> tuple[Model, ...]:
    """What the site listed then."""
    row = tx.one("setting_get", name=_name(kind))
    return () if row is None else msgspec.json.decode(row["value"], type=tuple[Model, ...])


def _name(kind: Kind) -> str:
    return f"catalogue.{kind}"
