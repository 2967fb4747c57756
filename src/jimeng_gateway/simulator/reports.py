"""What a test wants to know afterwards: state, books, jobs, accounts. Plain values, ready for JSON."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import msgspec

from jimeng_gateway.simulator.account import Account
from jimeng_gateway.simulator.job import Job, view
from jimeng_gateway.simulator.site import Site


def state(site: Site) -> dict[str, Any]:
    """Options, counters and sums."""
    now, world, traffic = site.now(), site.world, site.traffic
    for account in world.accounts:
        world.settle(account, now)
    return {
        "now": now,
        "options": msgspec.to_builtins(world.options),
        "accounts": len(world.accounts),
        "jobs": dict(Counter(str(view(job, now).status) for job in world.jobs)),
        "running": sum(len(account.active) for account in world.accounts),
        "running_max": max((account.running_max for account in world.accounts), default=0),
        "uploads": sum(stored.committed for stored in world.depot.files),
        "requests": dict(traffic.endpoints),
        "rets": {f"{endpoint} {ret}": count for (endpoint, ret), count in sorted(traffic.rets.items())},
        "remarks": dict(traffic.remarks),
        "faults": [
            {"id": armed.id, "hits": armed.hits, "left": armed.left, **msgspec.to_builtins(armed.fault)}
            for armed in world.faults.armed
        ],
        "fault_hits": dict(traffic.faults),
        "polls": sum(len(polls) for polls in traffic.polls.values()),
        "largest_batch": traffic.largest_batch,
    }


def books(site: Site, submit_id: str | None = None) -> dict[str, Any]:
    """Every line of the books; how often each submit id was charged, and which more than once."""
    lines = [line for line in site.world.books(site.now()) if submit_id in (None, line.submit_id)]
    charged = Counter(line.submit_id for line in lines if line.kind == "charge")
    return {
        "charges": [msgspec.to_builtins(line) for line in lines],
        "charged": dict(charged),
        "twice": sorted(found for found, count in charged.items() if count > 1),
        "total": sum(_signed(line.kind, line.amount) for line in lines),
    }


def _signed(kind: str, amount: int) -> int:
    return {"charge": amount, "refund": -amount}.get(kind, 0)


def job(found: Job, now: float) -> dict[str, Any]:
    """One job's life."""
    seen, ends_at = view(found, now), found.ended_at()
    return {
        "submit_id": found.ask.submit_id,
        "history_id": found.history_id,
        "session": found.session,
        "uid": found.uid,
        "kind": found.ask.kind,
        "model": found.ask.model_key,
        "prompt": found.ask.prompt,
        "count": found.ask.count,
        "size": [found.ask.width, found.ask.height],
        "price": found.ask.price,
        "status": seen.status,
        "task_status": seen.task_status,
        "accepted_at": found.plan.accepted_at,
        "ends_at": None if math.isinf(ends_at) else ends_at,
        "cancelled": found.cancelled_at is not None,
        "removed": found.removed,
        "polls": found.polls,
        "seen_ended_at": found.seen_ended_at,
        "downloads": found.downloads,
    }


def account(site: Site, found: Account) -> dict[str, Any]:
    """One account, its load and the polls of its first session."""
    site.world.settle(found, site.now())
    return {
        "uid": found.uid,
        "name": found.name,
        "session": found.session,
        "credits": {"gift": found.gift, "purchase": found.purchase, "vip": found.vip},
        "flags": {
            "dead": found.dead,
            "penniless": found.penniless,
            "punished": found.punished,
            "risky": found.risky,
            "slot_limit": found.slot_limit,
            "daily_limit": found.daily_limit,
            "lacks": sorted(found.lacks),
        },
        "jobs": len(found.jobs),
        "running": len(found.active),
        "running_max": found.running_max,
        "polls": [list(poll) for poll in site.traffic.polls.get(found.session, ())],
    }
