"""The admin door under `/_sim/`: what a test or an operator of the simulator may see and change.

It has no password, so it opens to the loopback addresses only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jimeng_gateway.simulator import reports
from jimeng_gateway.simulator.catalogue import ImageModel, VideoModel
from jimeng_gateway.simulator.faults import Fault
from jimeng_gateway.simulator.options import changed
from jimeng_gateway.simulator.site import Site
from jimeng_gateway.simulator.triggers import Ending

T = TypeVar("T")
Action = Callable[[Site, Request, bytes], Any]


class AccountChange(Struct, forbid_unknown_fields=True):
    """An account to declare, or what to change of one."""

    session: str
    uid: str | UnsetType = UNSET
    credits: int | UnsetType = UNSET
    dead: bool | UnsetType = UNSET
    penniless: bool | UnsetType = UNSET
    punished: bool | UnsetType = UNSET
    risky: bool | UnsetType = UNSET
    slot_limit: int | UnsetType = UNSET
    daily_limit: int | UnsetType = UNSET
    lacks: list[str] | UnsetType = UNSET


class NewModel(Struct, forbid_unknown_fields=True):
    """A model that no release knows."""

    key: str
    kind: str
    title: str = ""
    benefit: str = "brand_new_benefit"
    counts: tuple[int, ...] = ()
    durations: tuple[int, ...] = (5, 10)


class Finish(Struct, forbid_unknown_fields=True):
    """A job to end at once."""

    submit_id: str
    ending: Ending | None = None


class Key(Struct, forbid_unknown_fields=True):
    """A model's key."""

    key: str


def _state(site: Site, _request: Request, _body: bytes) -> Any:
    return reports.state(site)


def _books(site: Site, request: Request, _body: bytes) -> Any:
    return reports.books(site, request.query_params.get("submit_id"))


def _jobs(site: Site, request: Request, _body: bytes) -> Any:
    wanted, now = request.query_params, site.now()
    found = [
        job
        for job in site.world.jobs
        if wanted.get("submit_id") in (None, job.ask.submit_id)
        and wanted.get("session") in (None, job.session)
    ]
    return {"jobs": [reports.job(job, now) for job in found]}


def _accounts(site: Site, request: Request, _body: bytes) -> Any:
    session = request.query_params.get("session")
    found = [a for a in site.world.accounts if session in (None, a.session)]
    return {"accounts": [reports.account(site, account) for account in found]}


def _requests(site: Site, request: Request, _body: bytes) -> Any:
    wanted = request.query_params
    limit = int(wanted.get("limit", "100"))
    found = [
        seen
        for seen in site.traffic.log
        if wanted.get("endpoint") in (None, seen.endpoint)
        and wanted.get("session") in (None, seen.call.session)
    ]
    return {"requests": [seen.plain() for seen in found[-limit:]]}


def _declare(site: Site, _request: Request, body: bytes) -> Any:
    changes = _one_or_many(body, AccountChange)
    made = [site.world.declare(**msgspec.to_builtins(change)) for change in changes]
    return {"accounts": [reports.account(site, account) for account in made]}


def _arm(site: Site, _request: Request, body: bytes) -> Any:
    armed = site.world.faults.arm(_one_or_many(body, Fault))
    return {"armed": [found.id for found in armed]}


def _disarm(site: Site, _request: Request, _body: bytes) -> Any:
    site.world.faults.clear()
    return {"armed": []}


def _options(site: Site, _request: Request, body: bytes) -> Any:
    change = msgspec.json.decode(body, type=dict[str, Any])
    site.world.options = changed(site.world.options, change, running=True)
    return msgspec.to_builtins(site.world.options)


def _reset(site: Site, _request: Request, _body: bytes) -> Any:
    site.reset(site.world.options)
    return {"reset": True}


def _add_model(site: Site, _request: Request, body: bytes) -> Any:
    wanted = msgspec.json.decode(body, type=NewModel)
    title = wanted.title or wanted.key
    if wanted.kind == "image":
        model: ImageModel | VideoModel = ImageModel(
            wanted.key,
            title,
            {"2k": "2k", "4k": "4k"},
            wanted.counts,
            default_count=wanted.counts[-1] if wanted.counts else 4,
            benefit=wanted.benefit,
            new=True,
        )
    elif wanted.kind == "video" and wanted.durations:
        lengths = wanted.durations
        model = VideoModel(wanted.key, title, {"720p": wanted.benefit}, lengths, default_duration=lengths[0])
    else:
        raise ValueError("kind is image, or video with at least one duration")
    site.world.catalogue.add(model)
    return {"added": wanted.key}


def _withdraw_model(site: Site, _request: Request, body: bytes) -> Any:
    key = msgspec.json.decode(body, type=Key).key
    return {"withdrawn": site.world.catalogue.withdraw(key)}


def _finish(site: Site, _request: Request, body: bytes) -> Any:
    wanted = msgspec.json.decode(body, type=Finish)
    return {"finished": site.world.finish(wanted.submit_id, site.now(), wanted.ending)}


def _one_or_many(body: bytes, shape: type[T]) -> list[T]:
    """The body as a list; a single object is a list of one."""
    if body.lstrip()[:1] == b"[":
        return msgspec.json.decode(body, type=list[shape])  # type: ignore[valid-type]
    return [msgspec.json.decode(body, type=shape)]


def _index(_site: Site, _request: Request, _body: bytes) -> Any:
    return {"doors": [f"{method} /_sim{path}" for method, path, _ in _ACTIONS]}


_ACTIONS: tuple[tuple[str, str, Action], ...] = (
    ("GET", "/", _index),
    ("GET", "/state", _state),
    ("GET", "/books", _books),
    ("GET", "/jobs", _jobs),
    ("GET", "/accounts", _accounts),
    ("GET", "/requests", _requests),
    ("POST", "/accounts", _declare),
    ("POST", "/faults", _arm),
    ("DELETE", "/faults", _disarm),
    ("POST", "/options", _options),
    ("POST", "/reset", _reset),
    ("POST", "/models", _add_model),
    ("DELETE", "/models", _withdraw_model),
    ("POST", "/finish", _finish),
)


def routes(site: Site) -> list[Route]:
    """The door's routes."""
    return [Route(path, _endpoint(site, action), methods=[method]) for method, path, action in _ACTIONS]


def _endpoint(site: Site, action: Action) -> Callable[[Request], Any]:
    async def handle(request: Request) -> Response:
        if request.client is None or not request.client.host.startswith(("127.", "::1", "::ffff:127.")):
            return _json({"error": "the admin door opens to this machine only"}, 403)
        body = await request.body()
        try:
            with site.lock:
                return _json(action(site, request, body))
        except (msgspec.MsgspecError, ValueError) as error:
            return _json({"error": str(error)}, 400)

    return handle


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
