"""Generate bodies and site calls as a client would send them, for the tests of the simulator."""

from __future__ import annotations

import json
from typing import Any

from jimeng_gateway.simulator.calls import ENDPOINTS
from jimeng_gateway.simulator.options import SimulatorOptions
from jimeng_gateway.simulator.site import Site
from jimeng_gateway.simulator.traffic import Call

LITE = "high_aes_general_v50"
FAST = "dreamina_seedance_40"
FAST_BENEFIT = "dreamina_seedance_20_fast"
BASE = "http://127.0.0.1:5200"
PATHS = {name: path for path, (name, _) in ENDPOINTS.items()}


def image(submit_id: str = "s-1", prompt: str = "a lighthouse", **core: Any) -> dict[str, Any]:
    """A text-to-image body (3.4).

    `count` is gen_count, `tier` the resolution type, `scene` goes into the metrics, the rest into core_param.
    """
    count, scene = core.pop("count", 2), core.pop("scene", "ImageBasicGenerate")
    size = {"width": 2560, "height": 1440, "resolution_type": core.pop("tier", "2k")}
    params = {"model": LITE, "prompt": prompt, "seed": 25, "image_ratio": 3, "large_image_info": size} | core
    abilities: dict[str, Any] = {"generate": {"core_param": params}}
    if count is not None:
        abilities["gen_option"] = {"gen_count": count}
    draft = {"main_component_id": "c", "component_list": [{"id": "c", "abilities": abilities}]}
    return {
        "submit_id": submit_id,
        "draft_content": json.dumps(draft),
        "metrics_extra": json.dumps({"sceneOptions": json.dumps([{"type": "image", "scene": scene}])}),
        "extend": {"root_model": params["model"]},
    }


def video(submit_id: str = "v-1", prompt: str = "a boat", **params: Any) -> dict[str, Any]:
    """A text-to-video body (4.4)."""
    benefit = params.pop("benefit", FAST_BENEFIT)
    wish = {"prompt": prompt, "fps": 24, "duration_ms": 5000, "resolution": "720p"}
    wish |= {key: params.pop(key) for key in list(params) if key in {*wish, "unified_edit_input"}}
    content = {"video_aspect_ratio": "16:9", "seed": 7, "model_req_key": FAST} | params
    content["video_gen_inputs"] = [wish]
    abilities = {"gen_video": {"text_to_video_params": content}}
    draft = {"main_component_id": "c", "component_list": [{"id": "c", "abilities": abilities}]}
    return {
        "submit_id": submit_id,
        "draft_content": json.dumps(draft),
        "extend": {"m_video_commerce_info": {"benefit_type": benefit}},
    }


class Bench:
    """A site whose clock the test drives; calls go straight into it, without a socket."""

    def __init__(self, **options: Any) -> None:
        self.now = 1_767_225_600.0
        self.site = Site(SimulatorOptions(**options), lambda: self.now)

    def post(self, name: str, content: Any = None, session: str = "one", **more: Any) -> dict[str, Any]:
        """The decoded reply of an endpoint."""
        body = (
            content if isinstance(content, bytes) else json.dumps({} if content is None else content).encode()
        )
        reply = self.site.answer(call(PATHS[name], session, body, **more)).reply
        found: dict[str, Any] = json.loads(reply.body)
        return found

    def record(self, submit_id: str = "s-1", session: str = "one") -> dict[str, Any] | None:
        """The job's record as a poll sees it now; None while it is absent."""
        data = self.post("history", {"submit_ids": [submit_id]}, session)["data"]
        found: dict[str, Any] | None = data.get(submit_id)
        return found

    def at(self, seconds: float, submit_id: str = "s-1") -> dict[str, Any]:
        """The record so many seconds from now on."""
        self.now += seconds
        found = self.record(submit_id)
        assert found is not None, "the job is absent"
        return found

    def balance(self, session: str = "one") -> int:
        """Credits left."""
        return int(sum(self.post("credit", None, session)["data"]["credit"].values()))

    def get(self, url: str, method: str = "GET", **headers: str) -> Any:
        """A file's reply."""
        path, _, query = url.removeprefix(BASE).partition("?")
        return self.site.answer(call(path, "", b"", method=method, raw_query=query, headers=headers)).reply


def call(
    path: str,
    session: str,
    body: bytes,
    *,
    method: str = "POST",
    raw_query: str = "",
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    cookies: dict[str, str] | None = None,
    base: str = BASE,
) -> Call:
    """A request as the site sees it."""
    own = {"sessionid": session} if session else {}
    host = base.split("://")[1].split(":")[0]
    return Call(method, path, raw_query, query or {}, headers or {}, own | (cookies or {}), body, base, host)
