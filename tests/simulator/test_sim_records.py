"""Records and files: every field that was seen on the wire, links that work, files that open."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

import pytest
from sim_requests import BASE, Bench, image, video


def words(text: str) -> set[str]:
    """The names in a text."""
    return set(text.split())


RECORD = words("""
    generate_type history_record_id origin_history_record_id created_time item_list origin_item_list task mode
    asset_option uid aigc_flow status history_group_key_md5 history_group_key submit_id capflow_id generate_id
    finish_time model_info forecast_generate_cost forecast_queue_cost fail_starling_key fail_starling_message
    min_feats queue_info total_image_count finished_image_count image_type confirm_status confirm_token
""")
POLLED = RECORD | {"fail_code", "fail_msg", "failed_item_list", "pre_gen_item_ids"}
COMMON = words("""
    id effect_id effect_type title description cover_url item_urls md5 create_time status review_info
    aspect_ratio publish_source collection_ids extra has_published cover_url_map local_item_id update_time
    cover_uri cover_height cover_width
""")
VIDEO = words("""
    video_id duration duration_ms origin_video transcoded_video video_size_type cover_uri cover_url
    transcode_status watermark_type thumb duration_info vda_status video_model has_audio is_mute
""")


def finished(bench: Bench, body: dict[str, Any], seconds: float = 60) -> dict[str, Any]:
    assert bench.post("generate", body)["ret"] == "0"
    return bench.at(seconds, body["submit_id"])


def picture_of(png: bytes) -> tuple[int, int, int]:
    """Width, height and bytes of pixels, every chunk's checksum verified."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks: dict[bytes, bytes] = {}
    at = 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + data)
        chunks[kind] = data
        at += 12 + length
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    return width, height, len(zlib.decompress(chunks[b"IDAT"]))


def boxes_of(mp4: bytes) -> list[bytes]:
    """Names of the outer boxes, which must fill the file exactly."""
    names, at = [], 0
    while at < len(mp4):
        (length,) = struct.unpack(">I", mp4[at : at + 4])
        names.append(mp4[at + 4 : at + 8])
        at += length
    assert at == len(mp4)
    return names


def test_the_generate_reply_is_the_young_record() -> None:
    body = image()
    data = Bench().post("generate", body)["data"]
    record = data["aigc_data"]
    assert set(record) >= RECORD | {"draft_content", "metrics_extra"}
    assert record["draft_content"] == body["draft_content"]
    assert (record["status"], record["item_list"]) == (20, [])
    assert record["task"]["task_id"] == record["task"]["history_id"] == record["history_record_id"]
    assert record["history_record_id"].isdecimal()
    assert len(record["history_record_id"]) == 14
    assert record["created_time"] == 1_767_225_600.0
    assert data["fail_code"] == ""


def test_a_finished_image_has_every_field() -> None:
    record = finished(Bench(), image())
    assert set(record) >= POLLED
    item = record["item_list"][1]
    assert set(item["common_attr"]) == COMMON
    assert (item["common_attr"]["status"], len(item["common_attr"]["id"])) == (144, 19)
    large = item["image"]["large_images"][0]
    assert (large["width"], large["height"], large["format"]) == (2560, 1440, "png")
    assert item["aigc_image_params"]["text2image_params"]["seed"] == 25
    assert record["pre_gen_item_ids"] == [i["common_attr"]["id"] for i in record["item_list"]]


def test_a_finished_video_has_every_field_and_its_model_in_a_string() -> None:
    record = finished(Bench(), video())
    item = record["item_list"][0]
    assert set(item["video"]) == VIDEO
    assert set(item["video"]["transcoded_video"]) == {"origin", "720p", "360p"}
    model = json.loads(item["video"]["video_model"])
    url = base64.b64decode(model["video_list"]["video_1"]["main_url"]).decode()
    assert url == item["video"]["transcoded_video"]["origin"]["video_url"]
    assert record["generate_type"] == 10


def test_pictures_are_real_and_differ() -> None:
    bench = Bench()
    record = finished(bench, image(count=2))
    links = [item["image"]["large_images"][0]["image_url"] for item in record["item_list"]]
    replies = [bench.get(link) for link in links]
    assert [reply.headers["content-type"] for reply in replies] == ["image/png", "image/png"]
    assert picture_of(replies[0].body) == (2560, 1440, 1440 * (1280 + 1))
    assert replies[0].body != replies[1].body
    assert len(replies[0].body) < 20_000


def test_a_picture_of_odd_size_is_whole() -> None:
    bench = Bench()
    record = finished(bench, image(image_ratio=8, tier="4k"))
    link = record["item_list"][0]["image"]["large_images"][0]["image_url"]
    assert picture_of(bench.get(link).body) == (6197, 2656, 2656 * (3099 + 1))


def test_a_cover_is_a_webp() -> None:
    bench = Bench()
    record = finished(bench, image())
    reply = bench.get(record["item_list"][0]["common_attr"]["cover_url"])
    assert (reply.headers["content-type"], reply.body[:4], reply.body[8:12]) == (
        "image/webp",
        b"RIFF",
        b"WEBP",
    )


@pytest.mark.parametrize("aspect", ["21:9", "16:9", "4:3", "1:1", "3:4", "9:16"])
def test_clips_are_whole_for_every_ratio(aspect: str) -> None:
    bench = Bench()
    origin = finished(bench, video(video_aspect_ratio=aspect))["item_list"][0]["video"]["transcoded_video"][
        "origin"
    ]
    reply = bench.get(origin["video_url"])
    assert reply.headers["content-type"] == "video/mp4"
    assert boxes_of(reply.body) == [b"ftyp", b"moov", b"free", b"mdat", b"free"]
    assert len(reply.body) == origin["size"]


def test_the_item_call_gives_a_better_file() -> None:
    bench = Bench()
    item = finished(bench, video())["item_list"][0]
    asked = {
        "item_id_list": [item["common_attr"]["id"], "7600000000000000999", "x"],
        "pack_item_opt": {"scene": 1, "need_data_integrity": True},
        "is_for_video_download": True,
    }
    (better,) = bench.post("items", asked)["data"]["item_list"]
    high = better["video"]["transcoded_video"]["origin"]["video_url"]
    usual = item["video"]["transcoded_video"]["origin"]["video_url"]
    assert high != usual
    assert len(bench.get(high).body) > len(bench.get(usual).body)


def test_links_are_signed_and_expire() -> None:
    bench = Bench(video_link_s=100)
    link = finished(bench, video())["item_list"][0]["video"]["transcoded_video"]["origin"]["video_url"]
    assert "x-expires=" in link
    assert "x-signature=" in link
    assert bench.get(link).status == 200
    expires = int(bench.now + 100)
    assert bench.get(link.replace(f"x-expires={expires}", f"x-expires={expires + 9}")).status == 403
    assert bench.get(link.partition("?")[0]).status == 403
    bench.now += 100
    assert bench.get(link).status == 403


def test_links_for_the_real_hosts_look_real() -> None:
    bench = Bench()
    bench.post("generate", video())
    bench.post("generate", image())
    bench.now += 60
    data = bench.post("history", {"submit_ids": ["s-1", "v-1"]}, base="https://jimeng.jianying.com")["data"]
    picture = data["s-1"]["item_list"][0]["image"]["large_images"][0]["image_url"]
    clip = data["v-1"]["item_list"][0]["video"]["transcoded_video"]["origin"]["video_url"]
    assert picture.startswith("https://p3-dreamina-sign.byteimg.com/tos-cn-i-tb4s082cfz/")
    assert clip.startswith("https://v9-artist.vlabvod.com/video/tos/cn/")
    assert bench.get(picture.removeprefix("https://p3-dreamina-sign.byteimg.com")).status == 200


@pytest.mark.parametrize(
    ("wanted", "status", "span"),
    [
        ("bytes=0-99", 206, slice(0, 100)),
        ("bytes=100-", 206, slice(100, None)),
        ("bytes=-50", 206, slice(-50, None)),
        ("bytes=0-99999999", 206, slice(0, None)),
        ("lines=1-2", 200, slice(0, None)),
        ("bytes=99999999-", 416, slice(0, 0)),
    ],
)
def test_ranges(wanted: str, status: int, span: slice) -> None:
    bench = Bench()
    link = finished(bench, image())["item_list"][0]["image"]["large_images"][0]["image_url"]
    whole = bench.get(link).body
    reply = bench.get(link, range=wanted)
    assert (reply.status, reply.body) == (status, whole[span])


def test_a_dead_link_is_followed_by_a_living_one() -> None:
    bench = Bench()
    body = image(prompt="[sim:dead-link]")
    first = finished(bench, body)["item_list"][0]["image"]["large_images"][0]["image_url"]
    second = bench.at(1)["item_list"][0]["image"]["large_images"][0]["image_url"]
    assert bench.get(first).status == 403
    assert bench.get(second).status == 200


def test_a_bad_file_is_a_web_page() -> None:
    bench = Bench()
    link = finished(bench, image(prompt="[sim:bad-file=1]"))["item_list"][0]["image"]["large_images"][0][
        "image_url"
    ]
    assert [bench.get(link).headers["content-type"] for _ in range(2)] == ["text/html", "image/png"]


def test_a_big_file_is_as_big_as_asked_and_still_opens() -> None:
    bench = Bench()
    link = finished(bench, image(prompt="[sim:big=2]"))["item_list"][0]["image"]["large_images"][0][
        "image_url"
    ]
    content = bench.get(link).body
    assert len(content) > 2 << 20
    assert picture_of(content)[:2] == (2560, 1440)


def test_unfinished_files_are_not_there() -> None:
    bench = Bench()
    link = finished(bench, image())["item_list"][0]["image"]["large_images"][0]["image_url"]
    bench.now -= 60
    assert bench.get(link).status == 404
    assert bench.get(f"{BASE}/tos-cn-i-tb4s082cfz/zz~tplv.png").status == 403
