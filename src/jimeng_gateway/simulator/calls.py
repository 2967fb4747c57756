"""The site's calls, one function each: what is asked of the World, and the `data` that is answered.

A function gets the World, the request and the time, and raises Refusal; `site` puts the envelope around it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from jimeng_gateway.simulator import configs, draft, page, records, upload_calls
from jimeng_gateway.simulator.account import day
from jimeng_gateway.simulator.context import Context
from jimeng_gateway.simulator.job import Job, view
from jimeng_gateway.simulator.refusal import Refusal
from jimeng_gateway.simulator.traffic import Call


class Ids(Struct):
    """A call about records or items."""

    history_ids: list[str] | None = None
    submit_ids: list[str] | None = None
    id_list: list[str] | None = None
    item_id_list: list[str] | None = None
    history_id: str = ""


class Scene(Struct):
    """The video catalogue's body."""

    scene: str = ""


class AssetPage(Struct):
    """get_asset_list's body."""

    count: int = 20
    offset: int = 0


class CreditPage(Struct):
    """user_credit_history's body."""

    count: int = 20
    cursor: str = "0"
    history_type: int = 2


class Settings(Struct):
    """update_settings' body."""

    custom_settings: dict[str, Any]


def generate(at: Context) -> dict[str, Any]:
    """3.4, 4.4."""
    signed = page.signed(at.world.options, at.call)
    made = at.world.generate(at.call.session, at.call.body, at.now, signed=signed)
    sent = draft.submission(at.call.body)
    return records.accepted(made, view(made, at.now), sent.draft_content, sent.metrics_extra, at.links)


def history(at: Context) -> dict[str, Any]:
    """7.1: records by the id that was asked; unknown and very young ones are absent."""
    account, asked = at.account(), at.body(Ids)
    if asked.history_ids is None and asked.submit_ids is None:
        raise Refusal("1000")
    seen = at.world.polled(account, asked.submit_ids or (), "submit_id", at.now)
    seen |= at.world.polled(account, asked.history_ids or (), "history_id", at.now)
    return {key: _polled_record(at, found) for key, found in seen.items()}


def ids_asked(call: Call) -> int:
    """How many records a poll asks for; 0 if that cannot be read."""
    try:
        asked = msgspec.json.decode(call.body, type=Ids)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return 0
    return len(asked.history_ids or ()) + len(asked.submit_ids or ())


def _polled_record(at: Context, found: Job) -> dict[str, Any]:
    seen = view(found, at.now)
    dead = False
    if seen.made:
        found.shown_by_poll += 1
        dead = found.ask.triggers.dead_link and found.shown_by_poll == 1
    return records.record(found, seen, at.links, _expires(at, found), dead_links=dead)


def _expires(at: Context, found: Job) -> int:
    options = at.world.options
    return int(at.now + (options.image_link_s if found.ask.kind == "image" else options.video_link_s))


def queue(at: Context) -> dict[str, Any]:
    """get_history_queue_info (7.6)."""
    account, asked = at.account(), at.body(Ids)
    if asked.history_ids is None:
        raise Refusal("1000")
    answer = {}
    for key, found in at.world.polled(account, asked.history_ids, "history_id", at.now).items():
        seen = view(found, at.now)
        answer[key] = {
            "status": seen.status,
            "queue_info": records.queue_info(seen),
            "forecast_cost_time": {
                "forecast_generate_cost": found.plan.forecast_s,
                "forecast_queue_cost": seen.forecast_queue_s,
            },
        }
    return answer


def items(at: Context) -> dict[str, Any]:
    """get_local_item_list (7.5): the better file."""
    account, asked = at.account(), at.body(Ids)
    if asked.item_id_list is None:
        raise Refusal("1000")
    listed = []
    for asked_id in asked.item_id_list:
        found = at.world.items_of(account, asked_id, at.now)
        if found is None:
            continue
        of, index = found
        of.shown_by_items += 1
        dead = of.ask.triggers.dead_link and of.shown_by_items == 1
        listed.append(records.high_quality_item(of, index, at.links, _expires(at, of), dead=dead))
    return {"item_list": listed}


def assets(at: Context) -> dict[str, Any]:
    """get_asset_list (9.2), newest first."""
    account, page = at.account(), at.body(AssetPage)
    start, count = max(0, page.offset), max(1, min(100, page.count))
    # One more than the page tells whether there is another.
    chosen = account.jobs[::-1][start : start + count + 1]
    listed = []
    for number in chosen[:count]:
        found = at.world.jobs[number]
        if found.removed or at.now < found.plan.visible_at:
            continue
        seen = view(found, at.now)
        content = records.record(found, seen, at.links, _expires(at, found))
        kind = found.ask.kind
        listed.append(
            {"id": found.history_id, "uid": found.uid, "type": 1 if kind == "image" else 2, kind: content}
        )
    return {"has_more": len(chosen) > count, "next_offset": start + count, "asset_list": listed}


def cancel(at: Context) -> dict[str, Any]:
    """cancel_generate (9.1)."""
    at.world.cancel(at.account(), at.body(Ids).history_id, at.now)
    return {}


def remove(at: Context) -> dict[str, Any]:
    """remove_history (9.1); both spellings of the list are taken."""
    account, asked = at.account(), at.body(Ids)
    ids = asked.id_list if asked.id_list is not None else asked.history_ids
    if ids is None:
        raise Refusal("1000")
    at.world.remove(account, ids)
    return {}


def image_config(at: Context) -> dict[str, Any]:
    """get_common_config (3.2)."""
    at.account()
    return configs.image_config(at.world.catalogue)


def video_config(at: Context) -> dict[str, Any]:
    """video_generate/get_common_config (4.2)."""
    at.account()
    if at.body(Scene).scene not in configs.VIDEO_SCENES:
        raise Refusal("1000")
    return configs.video_config(at.world.catalogue)


def user_info(at: Context) -> dict[str, Any]:
    """get_user_info (8.4)."""
    account = at.account()
    return {"uid": account.uid, "name": account.name, "avatar_url": "", "role": 0}


def settings(at: Context) -> dict[str, Any]:
    """get_settings (1.4)."""
    usual = {
        "aigc_compliance_confirmed": False,
        "allow_remake": True,
        "close_watermark": False,
        "work_sharing_allowed": True,
    }
    return {"user_custom_settings": {**usual, **at.account().settings}}


def update_settings(at: Context) -> dict[str, Any]:
    """update_settings (1.4)."""
    at.account().settings.update(at.body(Settings).custom_settings)
    return {}


def credit(at: Context) -> dict[str, Any]:
    """user_credit (8.1)."""
    account = at.account()
    midnight = (day(at.now) + 1) * 86400 - 8 * 3600 - 1
    gifts = [{"residual_credits": account.gift, "credits_life_end": midnight}] if account.gift else []
    bought = [{"residual_credits": account.purchase, "credits_life_end": 0}] if account.purchase else []
    vips = [{"residual_credits": account.vip, "credits_life_end": 0}] if account.vip else []
    return {
        "credit": {
            "gift_credit": account.gift,
            "purchase_credit": account.purchase,
            "vip_credit": account.vip,
        },
        "expiring_credits": [{"credit_amount": account.gift, "expire_time": midnight}] if gifts else [],
        "credits_detail": {"gift_credits": gifts, "purchase_credits": bought, "vip_credits": vips},
    }


def receive(at: Context) -> dict[str, Any]:
    """credit_receive (8.2)."""
    account = at.account()
    quota = at.world.receive_gift(account, at.now)
    return {
        "cur_total_credits": account.balance(),
        "receive_quota": quota,
        "is_first_receive": bool(quota),
        "has_popup": bool(quota),
    }


def credit_history(at: Context) -> dict[str, Any]:
    """user_credit_history (8.3), newest first."""
    account, page = at.account(), at.body(CreditPage)
    spending = page.history_type == 2
    if not page.cursor.isdecimal():
        raise Refusal("1000")
    lines = [entry for entry in reversed(account.entries) if (entry.kind == "charge") == spending]
    start, count = int(page.cursor), max(1, min(100, page.count))
    return {
        "total_credit": account.balance(),
        "has_more": len(lines) > start + count,
        "new_cursor": str(start + count),
        "records": [
            {
                "amount": entry.amount,
                "create_time": int(entry.at),
                "title": entry.title,
                "submit_id": entry.submit_id,
                "history_type": page.history_type,
                "status": "Checked",
            }
            for entry in lines[start : start + count]
        ],
    }


def subscription(at: Context) -> dict[str, Any]:
    """subscription/user_info (8.5)."""
    account = at.account()
    member = account.vip > 0
    return {
        "flag": member,
        "cur_vip_level": "standard" if member else "",
        "start_time": 0,
        "end_time": int(at.now) + 30 * 86400 if member else 0,
        "is_cancel_subscribe": False,
        "subscribe_type": "auto" if member else "",
        "subscribe_cycle": 1 if member else 0,
    }


def passport(at: Context) -> dict[str, Any]:
    """passport account info (8.4): the whole body, for there is no envelope."""
    try:
        account = at.account()
    except Refusal:
        data = {"error_code": 4, "name": "session_expired", "description": "会话过期", "captcha": ""}
        return {"data": data, "message": "error"}
    data = {
        "user_id": int(account.uid),
        "name": account.name,
        "screen_name": account.name,
        "avatar_url": "",
        "connects": [],
    }
    return {"data": data, "message": "success"}


Handler = Callable[[Context], dict[str, Any]]

#: Path to the endpoint's name in logs and faults, and its function.
ENDPOINTS: dict[str, tuple[str, Handler]] = {
    "/mweb/v1/aigc_draft/generate": ("generate", generate),
    "/mweb/v1/aigc_draft/cancel_generate": ("cancel", cancel),
    "/mweb/v1/get_history_by_ids": ("history", history),
    "/mweb/v1/get_history_queue_info": ("queue", queue),
    "/mweb/v1/get_local_item_list": ("items", items),
    "/mweb/v1/get_asset_list": ("assets", assets),
    "/mweb/v1/remove_history": ("remove", remove),
    "/mweb/v1/get_upload_token": ("upload_token", upload_calls.upload_token),
    "/mweb/v1/algo_proxy": ("algo_proxy", upload_calls.algo_proxy),
    "/mweb/v1/imagex/submit_audit_job": ("audit", upload_calls.audit),
    "/mweb/v1/get_image_by_uri": ("image_by_uri", upload_calls.image_by_uri),
    "/mweb/v1/get_common_config": ("image_config", image_config),
    "/mweb/v1/video_generate/get_common_config": ("video_config", video_config),
    "/mweb/v1/get_user_info": ("user_info", user_info),
    "/mweb/v1/get_settings": ("settings", settings),
    "/mweb/v1/update_settings": ("update_settings", update_settings),
    "/commerce/v1/benefits/user_credit": ("credit", credit),
    "/commerce/v1/benefits/credit_receive": ("receive", receive),
    "/commerce/v1/benefits/user_credit_history": ("credit_history", credit_history),
    "/commerce/v1/subscription/user_info": ("subscription", subscription),
    "/passport/account/info/v2": ("passport", passport),
}
