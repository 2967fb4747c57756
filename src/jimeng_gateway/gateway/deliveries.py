"""What was told to callback addresses."""

from __future__ import annotations

from jimeng_gateway.domain.deliveries import Delivery, DeliveryState
from jimeng_gateway.gateway.desk import Caller, Desk, Page, parse_cursor
from jimeng_gateway.store import deliveries
from jimeng_gateway.store.deliveries import DeliveryQuery


class DeliveryDesk(Desk):
    """Deliveries, to look at."""

    async def deliveries(
        self,
        caller: Caller,
        *,
        task_id: str | None = None,
        state: DeliveryState | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> Page[Delivery]:
        """The caller's own, an admin's are everybody's; newest first."""
        query = DeliveryQuery(
            task_id=task_id,
            state=state,
            beyond=parse_cursor(cursor) if cursor else None,
            limit=limit + 1,
        )
        key_id = None if caller.admin else caller.key_id
        found = await self._db.read(lambda tx: deliveries.find(tx, query, key_id=key_id))
        shown = tuple(found[:limit])
        more = f"{shown[-1].created_at}.{shown[-1].id}" if len(found) > limit else None
        return Page(shown, more)
