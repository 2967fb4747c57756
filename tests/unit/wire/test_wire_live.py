"""The live catalogue, read from the shapes of 3.2 and 4.2."""

from __future__ import annotations

import msgspec
import pytest
from golden.check import load, matches

from jimeng_gateway.domain.errors import ErrorKind, UpstreamFailure
from jimeng_gateway.upstream.wire import live
from jimeng_gateway.upstream.wire.protocol import builtin


def test_image_models() -> None:
    found = live.image_models(load("replies/image-catalogue"), builtin())
    matches("replies/image-catalogue.read", msgspec.to_builtins(found))


def test_video_models() -> None:
    found = live.video_models(load("replies/video-catalogue"), builtin())
    matches("replies/video-catalogue.read", msgspec.to_builtins(found))


def test_a_refused_catalogue() -> None:
    with pytest.raises(UpstreamFailure) as caught:
        live.video_models({"ret": "1000", "errmsg": "invalid parameter"}, builtin())
    assert caught.value.failure.kind is ErrorKind.INVALID_REQUEST


@pytest.mark.parametrize(
    "data", [None, [], {"model_list": None}, {"model_list": [None, {"model_req_key": ""}]}]
)
def test_entries_that_make_no_sense_are_left_out(data: object) -> None:
    assert live.image_models({"ret": "0", "data": data}, builtin()) == ()


def test_a_size_without_a_known_ratio_or_area_is_left_out() -> None:
    sizes = [
        {"ratio_type": 0, "width": 1, "height": 1},
        {"ratio_type": 1, "width": 0, "height": 5},
        {"ratio_type": 1, "width": 99999, "height": 5},
    ]
    entry = {"model_req_key": "k", "resolution_map": {"2k": {"image_ratio_sizes": sizes}}}
    (model,) = live.image_models({"ret": "0", "data": {"model_list": [entry]}}, builtin())
    assert (model.tiers, model.name, model.title) == ((), "k", "k")
