"""The models, and the other names under which they can be had, as the OpenAI SDKs list them."""

from __future__ import annotations

from starlette.responses import Response

from jimeng_gateway.domain.catalogue import FIRST_FRAME_INPUT, LAST_FRAME_INPUT, Model, ModelStatus
from jimeng_gateway.domain.errors import NotFound
from jimeng_gateway.domain.reference import Media
from jimeng_gateway.domain.request import Kind
from jimeng_gateway.http.endpoint import Call
from jimeng_gateway.http.openai.replies import Capabilities, Modalities, OpenAIModel, OpenAIModelList
from jimeng_gateway.http.replies import json_reply


async def list_models(call: Call) -> Response:
    """GET /v1/models: what can be used; first the models, then the other names."""
    models = [model for model in await call.gateway.models() if model.status is not ModelStatus.RETIRED]
    by_name = {model.name: model for model in models}
    aliases = [
        model_json(by_name[alias.model], alias.name)
        for alias in await call.gateway.aliases(call.caller)
        if alias.model in by_name
    ]
    return json_reply(OpenAIModelList(data=[*(model_json(model) for model in models), *aliases]))


async def get_model(call: Call) -> Response:
    """GET /v1/models/{model_id}: by any name that a request may use; ids with a slash are ids too."""
    name = str(call.request.path_params["model_id"])
    if not name.strip():
        raise NotFound("the address names no model", param="model", code="model_not_found")
    model = await call.gateway.model(call.caller, name)
    own = name.strip().casefold() in {known.casefold() for known in (model.name, model.key, *model.aliases)}
    return json_reply(model_json(model) if own else model_json(model, name))


def model_json(model: Model, alias: str | None = None) -> OpenAIModel:
    """A model under its own name, or under another one."""
    return OpenAIModel(
        id=alias or model.name,
        kind=model.kind,
        title=model.title,
        status=model.status,
        alias_of=model.name if alias else None,
        modalities=Modalities(input=_inputs(model), output=[str(model.kind)]),
        capabilities=_capabilities(model),
    )


def _inputs(model: Model) -> list[str]:
    frames = FIRST_FRAME_INPUT in model.inputs
    kinds = [media for media in Media if _most(model, media) or (frames and media is Media.IMAGE)]
    return ["text", *map(str, kinds)]


def _capabilities(model: Model) -> Capabilities:
    ratios = dict.fromkeys(size.ratio for tier in model.tiers for size in tier.sizes)
    return Capabilities(
        resolutions=[tier.name for tier in model.tiers],
        ratios=list(ratios),
        counts=list(model.counts),
        seconds=list(model.durations) if model.kind is Kind.VIDEO else [],
        first_frame=FIRST_FRAME_INPUT in model.inputs,
        last_frame=LAST_FRAME_INPUT in model.inputs,
        references={str(media): _most(model, media) for media in Media},
    )


def _most(model: Model, media: Media) -> int:
    return model.materials.of(media).most if model.materials else 0
