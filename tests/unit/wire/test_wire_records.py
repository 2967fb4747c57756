"""Records and items: every status (7.3), and every place where an address may stand (7.4)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from jimeng_gateway.domain.errors import ErrorKind
from jimeng_gateway.domain.record import JobState, Record
from jimeng_gateway.upstream.wire.items import item_of, items_of
from jimeng_gateway.upstream.wire.protocol import builtin
from jimeng_gateway.upstream.wire.records import record

P = builtin()
IMAGE = {"image": {"large_images": [{"image_url": "https://p3/a.png", "width": 8, "height": 8}]}}


def read(**fields: object) -> Record:
    return record(fields, P)


@pytest.mark.parametrize(
    ("status", "without", "with_items"),
    [
        (-1, "running", "running"),
        (0, "queued", "queued"),
        (10, "failed", "succeeded"),
        (20, "running", "running"),
        (30, "failed", "succeeded"),
        (40, "failed", "failed"),
        (42, "running", "running"),
        (45, "running", "running"),
        (50, "failed", "succeeded"),
        (100, "failed", "failed"),
        (77, "running", "running"),
    ],
)
def test_states(status: int, without: str, with_items: str) -> None:
    for value in (status, str(status)):
        assert read(status=value).state == without
        assert read(status=value, item_list=[IMAGE]).state == with_items


def test_the_status_of_the_task_serves_when_the_record_has_none() -> None:
    assert read(task={"status": 50}, item_list=[IMAGE]).state is JobState.SUCCEEDED


def test_a_45_that_is_complete_has_ended() -> None:
    fields: dict[str, Any] = {"status": 45, "item_list": [IMAGE, IMAGE], "total_image_count": 2}
    assert read(**fields, finish_time=0).state is JobState.RUNNING
    assert read(**fields, finish_time=1767225612).state is JobState.SUCCEEDED
    assert read(**fields | {"total_image_count": 4}, finish_time=1767225612).state is JobState.RUNNING


@pytest.mark.parametrize(
    ("fields", "kind", "code"),
    [
        ({"status": 10}, "content_rejected", "pre_check_reject"),
        ({"status": 30, "task": {"status": 10}}, "content_rejected", "pre_check_reject"),
        ({"status": 30, "task": {"status": 40}}, "content_rejected", "post_check_reject"),
        ({"status": 40}, "content_rejected", "post_check_reject"),
        ({"status": 30, "task": {"status": 10}, "fail_code": 4011}, "content_rejected", "4011"),
        ({"status": 30}, "generation_failed", "generate_failed"),
        ({"status": 30, "fail_code": "2002"}, "generation_failed", "2002"),
        ({"status": 30, "fail_code": "98765"}, "unknown", "98765"),
        ({"status": 30, "fail_msg": "TaskCanceled"}, "generation_failed", "cancelled_upstream"),
        ({"status": 100}, "generation_failed", "deleted_upstream"),
        ({"status": 50}, "generation_failed", "no_result"),
        ({"status": 50, "item_list": [{}]}, "generation_failed", "no_result"),
        (
            {"status": 50, "failed_item_list": [{"gen_result_data": {"result_code": 2041}}]},
            "content_rejected",
            "2041",
        ),
    ],
)
def test_why_a_job_failed(fields: dict[str, object], kind: str, code: str) -> None:
    failure = record(fields, P).failure
    assert failure is not None
    assert (failure.kind, failure.code) == (kind, code)


def test_a_failure_tells_what_the_site_tells_people() -> None:
    failure = read(status=30, fail_starling_message="生成失败，请重试").failure
    assert failure is not None
    assert failure.message == "the generation failed: 生成失败，请重试"
    assert failure.kind is ErrorKind.GENERATION_FAILED


def test_queue_and_forecast() -> None:
    queue = {"queue_idx": "12", "queue_length": 340, "queue_status": 1}
    queue["polling_config"] = {"interval_seconds": 30}  # type: ignore[assignment]
    found = read(status=20, queue_info=queue, forecast_queue_cost=1200.5, forecast_generate_cost="156")
    assert (found.state, found.queue_position, found.queue_total) == (JobState.QUEUED, 12, 340)
    assert (found.forecast_queue_s, found.forecast_generate_s, found.poll_interval_s) == (1201, 156, 30)
    running = read(status=20, queue_info={**queue, "queue_status": 2})
    assert (running.state, running.queue_position) == (JobState.RUNNING, None)
    silent = read(status=20, forecast_queue_cost=0, forecast_generate_cost=10**12)
    assert (silent.state, silent.forecast_queue_s, silent.forecast_generate_s) == (
        JobState.RUNNING,
        None,
        None,
    )


def large(*images: dict[str, object]) -> dict[str, object]:
    return {"image": {"large_images": list(images)}}


COVERS = {
    "cover_url_map": {"360": "https://p/360", "4096": "https://p/4096", "x": "https://p/x"},
    "cover_url": "https://p/cover",
}


@pytest.mark.parametrize(
    ("item", "url"),
    [
        (
            large({"image_url": "https://p/1"}, {"image_url": "https://p/2", "width": 9, "height": 9}),
            "https://p/1",
        ),
        (
            large(
                {"image_url": ""},
                {"image_url": "https://p/s", "width": 2, "height": 2},
                {"image_url": "https://p/l", "width": 9, "height": 9},
            ),
            "https://p/l",
        ),
        ({**large({"image_url": None}), "common_attr": COVERS}, "https://p/4096"),
        ({"common_attr": {"cover_url": "https://p/cover"}}, "https://p/cover"),
        ({"image_url": "https://p/a", "url": "https://p/b"}, "https://p/a"),
        ({"url": "https://p/b"}, "https://p/b"),
    ],
)
def test_where_the_address_of_an_image_is(item: dict[str, object], url: str) -> None:
    found = item_of(item)
    assert found is not None
    assert (found.kind, found.url) == ("image", url)


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"url": "ftp://p/b"},
        {"url": "javascript:alert(1)"},
        {"url": "https://p/ b"},
        {"url": "https://p/\n"},
        {"url": 7},
        {"common_attr": COVERS, "gen_result_data": {"result_code": 2041}},
    ],
)
def test_items_without_a_usable_address_are_left_out(item: dict[str, object]) -> None:
    expected = "https://p/" if item.get("url") == "https://p/\n" else None
    found = item_of(item)
    assert (found.url if found else None) == expected


def model(*entries: dict[str, object]) -> str:
    return json.dumps({"video_list": {f"video_{i}": entry for i, entry in enumerate(entries, 1)}})


def packed(url: str) -> str:
    return base64.b64encode(url.encode()).decode()


TRANSCODED = {
    "720p": {"width": 1280, "height": 720, "video_url": "https://v/720"},
    "360p": {"width": 640, "height": 360, "video_url": "https://v/360"},
}


@pytest.mark.parametrize(
    ("video", "url"),
    [
        (
            {
                "video_model": model(
                    {
                        "definition": "1080p",
                        "vwidth": 1920,
                        "vheight": 1080,
                        "main_url": packed("https://v/1080"),
                    },
                    {"definition": "origin", "main_url": packed("https://v/model?a=1&b=ÿ")},
                ),
                "transcoded_video": {"origin": {"video_url": "https://v/origin"}},
            },
            "https://v/model?a=1&b=ÿ",
        ),
        (
            {
                "video_model": model(
                    {"main_url": "!!", "backup_url_1": packed("https://v/backup").rstrip("=")}
                )
            },
            "https://v/backup",
        ),
        (
            {
                "video_model": model(
                    {
                        "definition": "360p",
                        "vwidth": 640,
                        "vheight": 360,
                        "main_url": packed("https://v/small"),
                    },
                    {
                        "definition": "720p",
                        "vwidth": 1280,
                        "vheight": 720,
                        "main_url": packed("https://v/big"),
                    },
                )
            },
            "https://v/big",
        ),
        ({"video_model": "no json", "transcoded_video": TRANSCODED}, "https://v/720"),
        (
            {"transcoded_video": {**TRANSCODED, "origin": {"video_url": "https://v/origin"}}},
            "https://v/origin",
        ),
        ({"play_url": "https://v/play", "download_url": "https://v/dl"}, "https://v/play"),
        ({"download_url": "https://v/dl"}, "https://v/dl"),
        ({"url": "https://v/url"}, "https://v/url"),
        ({"video_url": "https://v/video"}, "https://v/video"),
        ({"origin_video": {"video_url": "https://v/o"}}, "https://v/o"),
    ],
)
def test_where_the_address_of_a_video_is(video: dict[str, object], url: str) -> None:
    item = {"video": video, "common_attr": {"id": "7", "cover_url": "https://p/cover"}}
    found = item_of(item)
    assert found is not None
    assert (found.kind, found.url, found.item_id) == ("video", url, "7")


@pytest.mark.parametrize(
    "item",
    [
        {"common_attr": {"transcoded_video": {"origin": {"video_url": "https://v/x"}}}},
        {"common_attr": {"video": {"transcoded_video": {"origin": {"video_url": "https://v/x"}}}}},
        {"video_url": "https://v/x"},
    ],
)
def test_addresses_outside_of_the_video_object(item: dict[str, object]) -> None:
    found = item_of(item, videos=True)
    assert found is not None
    assert found.url == "https://v/x"


def test_a_cover_is_never_taken_for_a_video() -> None:
    item = {"video": {"cover_url": "https://p/c"}, "common_attr": {"cover_url": "https://p/c"}}
    assert item_of(item) is None


def test_the_last_resort_searches_the_whole_record() -> None:
    url = "https://v9-artist.vlabvod.com/abc/?a=1&b=2"
    found = items_of({"generate_type": 10, "item_list": [{"id": "7", "video": {"odd": [url, "x"]}}]}, P)
    assert [(item.kind, item.url, item.item_id) for item in found] == [("video", url, "7")]
    assert items_of({"generate_type": 1, "item_list": [{"odd": url}]}, P) == ()


def test_ids_and_lengths_of_a_video() -> None:
    item = {"item_id": 11, "id": 12, "video": {"play_url": "https://v/x", "duration": 6}}
    found = item_of(item)
    assert found is not None
    assert (found.item_id, found.duration_ms) == ("11", 6000)
