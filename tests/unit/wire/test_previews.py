"""Which of a record's covers becomes the preview (jimeng-web.md 7.2)."""

from __future__ import annotations

import pytest

from jimeng_gateway.upstream.wire.items import item_of, preview_of

SITE = "https://cdn.example/"


def covers(*sizes: str) -> dict[str, str]:
    return {size: f"{SITE}{size}" for size in sizes}


@pytest.mark.parametrize(
    ("sizes", "chosen"),
    [
        (("360", "720", "1080", "4096"), "720"),
        (("360", "1080"), "1080"),
        (("360", "480"), "480"),
        (("4096",), "4096"),
        (("large", "2400", "²", "1234567"), "2400"),
    ],
)
def test_the_cover_nearest_to_720_pixels(sizes: tuple[str, ...], chosen: str) -> None:
    entry = {"common_attr": {"cover_url_map": covers(*sizes), "cover_url": f"{SITE}small"}}
    assert preview_of(entry) == SITE + chosen


def test_the_next_best_where_the_nearest_is_no_address() -> None:
    listed = {"720": "", "1080": "javascript:alert(1)", "360": f"{SITE}360"}
    assert preview_of({"common_attr": {"cover_url_map": listed}}) == f"{SITE}360"


@pytest.mark.parametrize("junk", [None, [], "x", 7, {"720": None}, {"720": {"url": "x"}}])
def test_the_only_cover_and_none(junk: object) -> None:
    assert preview_of({"common_attr": {"cover_url_map": junk, "cover_url": f"{SITE}c"}}) == f"{SITE}c"
    assert (
        preview_of({"video": {"cover_url": f"{SITE}v"}, "common_attr": {"cover_url_map": junk}}) == f"{SITE}v"
    )
    assert preview_of({"common_attr": {"cover_url_map": junk}}) == ""
    assert preview_of({}) == ""


def test_pictures_and_videos_carry_theirs() -> None:
    common = {"id": "7", "cover_url_map": covers("720")}
    picture = item_of({"common_attr": common, "image": {"large_images": [{"image_url": f"{SITE}full"}]}})
    assert picture is not None
    assert (picture.url, picture.preview_url) == (f"{SITE}full", f"{SITE}720")
    video = item_of({"common_attr": {"id": "8"}, "video": {"play_url": f"{SITE}v", "cover_url": f"{SITE}p"}})
    assert video is not None
    assert (video.url, video.preview_url) == (f"{SITE}v", f"{SITE}p")
