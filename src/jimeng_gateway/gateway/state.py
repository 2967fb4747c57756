"""What there is and how it is going: models, figures, health."""

from __future__ import annotations

from dataclasses import dataclass, field

from jimeng_gateway.domain import aliases
from jimeng_gateway.domain.aliases import Alias
from jimeng_gateway.domain.catalogue import Catalogue, Model
from jimeng_gateway.domain.errors import StoreError
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.domain.task import Stage
from jimeng_gateway.gateway.desk import Caller, Desk
from jimeng_gateway.store import nodes
from jimeng_gateway.store.database import Tx


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the gateway can serve, and why (not)."""

    ready: bool
    checks: dict[str, dict[str, object]] = field(default_factory=dict)


class StateDesk(Desk):
    """The gateway about itself."""

    async def models(self) -> list[Model]:
        """The catalogue."""
        return list((await self._parts.catalogue.current()).models)

    async def catalogue(self) -> Catalogue:
        """The catalogue as intake sees it."""
        return await self._parts.catalogue.current()

    async def model(self, caller: Caller, name: str | None, kind: Kind | None = None) -> Model:
        """The model that this caller means by a name; without one, the default of the kind.

        InvalidRequest "model_not_found" or "model_retired".
        """
        catalogue = await self._parts.catalogue.current()
        if not name:
            return catalogue.default(kind or Kind.IMAGE)
        return catalogue.find(aliases.resolve(name, catalogue, caller.options.aliases, self._parts.aliases))

    async def aliases(self, caller: Caller) -> tuple[Alias, ...]:
        """The other names under which this caller can have models."""
        catalogue = await self._parts.catalogue.current()
        return aliases.listed(catalogue, caller.options.aliases, self._parts.aliases)

    async def stats(self) -> dict[str, object]:
        """Figures, each counted from the facts themselves."""
        now = self._clock.now()
        return await self._db.read(lambda tx: _stats(tx, now))

    async def health(self) -> Health:
        """Whether tasks can be taken and worked on now."""
        now = self._clock.now()
        try:
            alive, states = await self._db.read(
                lambda tx: (
                    [node for node in nodes.find_all(tx) if node.expires_at > now],
                    {row["state"]: row["n"] for row in tx.all("session_counts")},
                )
            )
        except StoreError as error:
            return Health(ready=False, checks={"database": {"ok": False, "error": error.message}})
        newest = max((node.beat_at for node in alive), default=None)
        usable = states.get("ready", 0)
        checks: dict[str, dict[str, object]] = {
            "database": {"ok": True},
            "worker": {
                "ok": bool(alive),
                "nodes": len(alive),
                "last_beat_ms_ago": None if newest is None else now - newest,
            },
            "sessions": {"ok": usable > 0, "usable": usable, "by_state": states},
        }
        ready = all(check["ok"] for check in checks.values())
        # Without a browser images go on, so this one is told but does not decide.
        signer = self._parts.signer()
        return Health(ready, checks | {"signer": signer} if signer else checks)


def _stats(tx: Tx, now: int) -> dict[str, object]:
    by_stage = {str(stage): 0 for stage in Stage}
    by_kind = {str(kind): 0 for kind in Kind}
    for row in tx.all("task_counts"):
        by_stage[row["stage"]] += row["n"]
        by_kind[row["kind"]] += row["n"]
    oldest = tx.one("task_oldest_queued")
    slots = tx.one("slot_counts") or {"total": 0, "taken": 0}
    states = {"ready": 0, "cooling": 0, "expired": 0, "blocked": 0, "disabled": 0}
    states |= {row["state"]: row["n"] for row in tx.all("session_counts")}
    results = tx.one("result_totals") or {"files": 0, "bytes": 0}
    waiting = None if oldest is None or oldest["at"] is None else (now - oldest["at"]) // 1000
    return {
        "tasks": {"total": sum(by_stage.values()), "by_stage": by_stage, "by_kind": by_kind},
        "queue": {"length": by_stage["queued"], "oldest_seconds": waiting},
        "slots": {"total": slots["total"], "taken": slots["taken"]},
        "sessions": {"total": sum(states.values()), "by_state": states},
        "results": {"files": results["files"], "bytes": int(results["bytes"])},
        "nodes": sum(1 for node in nodes.find_all(tx) if node.expires_at > now),
    }
