"""The simulated upload services: what they verify, whose the files are, and what generate says about them."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode
from zlib import crc32

import pytest
from sim_requests import BASE, Bench, call, video

from jimeng_gateway.simulator import media
from jimeng_gateway.simulator.faults import Fault, FaultKind
from jimeng_gateway.simulator.replies import Reply

PICTURE = media.picture(64, 48, "a", "b")
CLIP = media.clip("16:9", "a", "720p")
AMZ_DATE = "20260101T000000Z"
OMNI = "dreamina_seedance_40"


def signed(
    token: dict[str, Any],
    params: dict[str, str],
    body: bytes | None = None,
    *,
    service: str = "imagex",
    date: str = AMZ_DATE,
    region: str = "cn-north-1",
) -> dict[str, str]:
    """Headers of a request to a service, written once more from 6.4."""
    headers = {"x-amz-date": date, "x-amz-security-token": token["session_token"]}
    if body is not None:
        headers["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()
    names = sorted(headers)
    text = "\n".join(
        [
            "GET" if body is None else "POST",
            "/",
            urlencode(sorted(params.items())),
            *(f"{name}:{headers[name]}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(body or b"").hexdigest(),
        ]
    )
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    wanted = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(text.encode()).hexdigest()}"
    key = b"AWS4" + token["secret_access_key"].encode()
    for part in (*scope.split("/"), wanted):
        key = hmac.digest(key, part.encode(), "sha256")
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={token['access_key_id']}/{scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={key.hex()}"
    )
    return headers


class Client:
    """Uploads by hand, one step at a time."""

    def __init__(self, bench: Bench, session: str = "one", base: str = BASE) -> None:
        self.bench, self.session, self.base = bench, session, base

    def token(self, scene: int = 2) -> dict[str, Any]:
        data: dict[str, Any] = self.bench.post(
            "upload_token", {"scene": scene}, self.session, base=self.base
        )["data"]
        return data

    def service(
        self, token: dict[str, Any], params: dict[str, str], body: bytes | None = None, **signing: Any
    ) -> dict[str, Any]:
        """A reply of Apply or Commit."""
        headers = signing.pop("headers", None) or signed(token, params, body, **signing)
        host = token["upload_domain"]
        made = call(
            "/",
            "",
            body or b"",
            method="GET" if body is None else "POST",
            raw_query=urlencode(params),
            query=params,
            headers=headers,
            base=f"https://{host}" if host.endswith(".com") else BASE,
        )
        found: dict[str, Any] = json.loads(self.bench.site.answer(made).reply.body)
        return found

    def apply(self, token: dict[str, Any], size: int, **signing: Any) -> dict[str, Any]:
        params = {
            "Action": "ApplyImageUpload",
            "Version": "2018-08-01",
            "ServiceId": "tb4s082cfz",
            "FileSize": str(size),
            "s": "abcdefghij",
        }
        return self.service(token, params, **signing)

    def apply_video(self, token: dict[str, Any], size: int) -> dict[str, Any]:
        params = {
            "Action": "ApplyUploadInner",
            "Version": "2020-11-19",
            "SpaceName": "dreamina",
            "FileType": "video",
            "IsInner": "1",
            "FileSize": str(size),
            "s": "abcdefghij",
        }
        found = self.service(token, params, service="vod")["Result"]["InnerUploadAddress"]["UploadNodes"][0]
        assert isinstance(found, dict)
        return found

    def commit(self, token: dict[str, Any], key: str) -> dict[str, Any]:
        params = {"Action": "CommitImageUpload", "Version": "2018-08-01", "ServiceId": "tb4s082cfz"}
        return self.service(token, params, json.dumps({"SessionKey": key}).encode())

    def commit_video(self, token: dict[str, Any], key: str) -> dict[str, Any]:
        params = {"Action": "CommitUploadInner", "Version": "2020-11-19", "SpaceName": "dreamina"}
        body = json.dumps({"SessionKey": key, "Functions": []}).encode()
        return self.service(token, params, body, service="vod")

    def send(
        self, store: dict[str, Any], data: bytes, *, method: str = "POST", query: str = "", **changed: str
    ) -> Reply:
        """The bytes."""
        headers = {
            "authorization": store["Auth"],
            "content-crc32": f"{crc32(data):08x}",
            "content-length": str(len(data)),
            **{name.replace("_", "-"): value for name, value in changed.items()},
        }
        pairs = dict(pair.split("=") for pair in query.split("&") if pair)
        made = call(
            f"/upload/v1/{store['StoreUri']}",
            "",
            data,
            method=method,
            raw_query=query,
            query=pairs,
            headers=headers,
        )
        return self.bench.site.answer(made).reply

    def picture(self, data: bytes = PICTURE, *, method: str = "POST") -> str:
        """The uri of an uploaded picture."""
        token = self.token()
        address = self.apply(token, len(data))["Result"]["UploadAddress"]
        sent = json.loads(self.send(address["StoreInfos"][0], data, method=method).body)
        assert sent["code"] == 2000
        return str(self.commit(token, address["SessionKey"])["Result"]["Results"][0]["Uri"])

    def video(self, data: bytes = CLIP) -> str:
        """The vid of an uploaded video."""
        token = self.token(1)
        node = self.apply_video(token, len(data))
        assert json.loads(self.send(node["StoreInfos"][0], data).body)["code"] == 2000
        return str(self.commit_video(token, node["SessionKey"])["Result"]["Results"][0]["Vid"])


def code_of(reply: dict[str, Any]) -> str:
    return str(reply["ResponseMetadata"]["Error"]["Code"])


def test_a_token() -> None:
    data = Client(Bench()).token()
    assert data["access_key_id"].startswith("AKTP")
    assert data["session_token"].startswith("STS2")
    assert (data["space_name"], data["region"]) == ("tb4s082cfz", "cn")
    assert data["upload_domain"] == "127.0.0.1:5200"
    assert data["current_time"] == "2026-01-01T08:00:00+08:00"
    assert data["expired_time"] == "2026-01-01T09:00:00+08:00"
    assert Client(Bench()).token(1)["space_name"] == "dreamina"
    assert Bench().post("upload_token", {"scene": 9})["ret"] == "1000"
    assert Bench(open_door=False).post("upload_token", {"scene": 2})["ret"] == "1015"


def test_under_real_names_the_services_are_real_ones() -> None:
    client = Client(Bench(), base="https://jimeng.jianying.com")
    token = client.token()
    assert token["upload_domain"] == "imagex.bytedanceapi.com"
    assert client.token(1)["upload_domain"] == "vod.bytedanceapi.com"
    hosts = client.apply(token, 7)["Result"]["UploadAddress"]["UploadHosts"]
    assert hosts == ["tos-d-x-lq.bytedancevod.com"]


def test_a_picture_and_its_measures() -> None:
    client = Client(Bench())
    token = client.token()
    address = client.apply(token, len(PICTURE))["Result"]["UploadAddress"]
    assert address["UploadHosts"] == ["127.0.0.1:5200"]
    store = address["StoreInfos"][0]
    assert json.loads(client.send(store, PICTURE).body)["data"]["crc32"] == f"{crc32(PICTURE):08x}"
    result = client.commit(token, address["SessionKey"])["Result"]
    assert result["Results"] == [{"Uri": store["StoreUri"], "UriStatus": 2000}]
    [plugin] = result["PluginResult"]
    assert (plugin["ImageWidth"], plugin["ImageHeight"], plugin["ImageFormat"]) == (64, 48, "png")
    assert plugin["ImageSize"] == len(PICTURE)


def test_a_video_and_its_measures() -> None:
    bench = Bench()
    client = Client(bench)
    token = client.token(1)
    node = client.apply_video(token, len(CLIP))
    client.send(node["StoreInfos"][0], CLIP)
    [result] = client.commit_video(token, node["SessionKey"])["Result"]["Results"]
    assert result["Vid"] == node["Vid"]
    meta = result["VideoMeta"]
    assert (meta["Width"], meta["Height"], meta["Duration"], meta["Fps"]) == (320, 180, 5.0, 24)
    bench.site.world.options = Bench(video_meta=False).site.world.options
    [result] = client.commit_video(token, node["SessionKey"])["Result"]["Results"]
    assert "Duration" not in result["VideoMeta"]


@pytest.mark.parametrize(
    ("signing", "code"),
    [
        ({"service": "vod"}, "SignatureDoesNotMatch"),
        ({"region": "cn"}, "SignatureDoesNotMatch"),
        ({"date": "20260101T001600Z"}, "SignatureDoesNotMatch"),
        ({"headers": {"authorization": "AWS4-HMAC-SHA256 nonsense"}}, "InvalidAuthorization"),
        ({"headers": {}}, "InvalidAuthorization"),
    ],
)
def test_signatures_are_verified(signing: dict[str, Any], code: str) -> None:
    client = Client(Bench())
    if signing.get("headers") == {}:
        signing = {"headers": {"x-nothing": ""}}
    assert code_of(client.apply(client.token(), 7, **signing)) == code


def test_a_signature_is_good_for_one_request_only() -> None:
    client = Client(Bench())
    token = client.token()
    params = {"Action": "ApplyImageUpload", "Version": "2018-08-01", "ServiceId": "tb4s082cfz"}
    headers = signed(token, {**params, "FileSize": "7", "s": "abcdefghij"})
    assert code_of(client.apply(token, 8, headers=headers)) == "SignatureDoesNotMatch"
    assert "Result" in client.apply(token, 7, headers=headers)
    tampered = {**token, "secret_access_key": "another"}
    assert code_of(client.apply(tampered, 7)) == "SignatureDoesNotMatch"


def test_tokens_end() -> None:
    bench = Bench(upload_token_s=100)
    client = Client(bench)
    token = client.token()
    bench.now += 101
    assert code_of(client.apply(token, 7, date="20260101T000141Z")) == "30406"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"content_crc32": "00000000"}, 4010),
        ({"content_crc32": f"{crc32(PICTURE):X}"}, 4010),
        ({"authorization": "SpaceKey/else"}, 4001),
    ],
)
def test_checksums_and_leaves_are_verified(changed: dict[str, str], code: int) -> None:
    client = Client(Bench())
    token = client.token()
    address = client.apply(token, len(PICTURE))["Result"]["UploadAddress"]
    assert json.loads(client.send(address["StoreInfos"][0], PICTURE, **changed).body)["code"] == code
    assert code_of(client.commit(token, address["SessionKey"])) == "InvalidParameter"


def test_sizes_are_verified() -> None:
    client = Client(Bench())
    address = client.apply(client.token(), len(PICTURE) + 1)["Result"]["UploadAddress"]
    assert json.loads(client.send(address["StoreInfos"][0], PICTURE).body)["code"] == 4012


def test_parts() -> None:
    client = Client(Bench())
    token = client.token(1)
    node = client.apply_video(token, len(CLIP))
    store, half = node["StoreInfos"][0], len(CLIP) // 2
    begun = json.loads(client.send(store, b"", query="uploadmode=part&phase=init").body)
    upload_id = begun["data"]["uploadid"]
    parts = [CLIP[:half], CLIP[half:]]
    for number, part in enumerate(parts, start=1):
        query = f"uploadid={upload_id}&part_number={number}&phase=transfer"
        assert json.loads(client.send(store, part, query=query).body)["code"] == 2000
    finish = f"uploadmode=part&phase=finish&uploadid={upload_id}"
    assert json.loads(client.send(store, b"1:00000000", query=finish).body)["code"] == 4014
    listed = ",".join(f"{number}:{crc32(part):08x}" for number, part in enumerate(parts, start=1))
    assert json.loads(client.send(store, listed.encode(), query=finish).body)["code"] == 2000
    [result] = client.commit_video(token, node["SessionKey"])["Result"]["Results"]
    assert (result["Vid"], result["VideoMeta"]["Width"]) == (node["Vid"], 320)


def test_parts_may_be_refused() -> None:
    client = Client(Bench(multipart=False))
    node = client.apply_video(client.token(1), 7)
    reply = client.send(node["StoreInfos"][0], b"", query="uploadmode=part&phase=init")
    assert (reply.status, reply.body) == (204, b"")


def test_cookies_sent_to_a_store_are_noted_in_every_mode() -> None:
    bench = Bench(sign="off")
    made = call("/upload/v1/x", "one", b"", headers={"authorization": "x"})
    bench.site.answer(made)
    assert bench.site.traffic.remarks == {"cookies sent to an upload host": 1}


def test_a_fault_may_be_limited_to_a_session() -> None:
    bench = Bench()
    one, two = Client(bench, "one"), Client(bench, "two")
    fault = Fault(FaultKind.RET, "image_apply", session="two", ret="SignatureDoesNotMatch")
    bench.site.world.faults.arm([fault])
    assert "Result" in one.apply(one.token(), 7)
    assert code_of(two.apply(two.token(), 7)) == "SignatureDoesNotMatch"


# ── what generate says ──────────────────────────────────────────────────────────────────────────


def blend(*uris: str) -> dict[str, Any]:
    core = {
        "model": "high_aes_general_v40l",
        "prompt": "##" * len(uris) + "a cat",
        "image_ratio": 1,
        "large_image_info": {"width": 2048, "height": 2048, "resolution_type": "2k"},
    }
    abilities = {
        "blend": {
            "core_param": core,
            "ability_list": [{"name": "byte_edit", "image_uri_list": [uri]} for uri in uris],
        }
    }
    content = {"main_component_id": "c", "component_list": [{"id": "c", "abilities": abilities}]}
    return {"submit_id": "b-1", "draft_content": json.dumps(content), "extend": {"root_model": "x"}}


def image_material(uri: str) -> dict[str, Any]:
    return {"material_type": "image", "image_info": {"image_uri": uri, "uri": uri}}


def clip_material(kind: str, vid: str, duration: int = 5000) -> dict[str, Any]:
    return {"material_type": kind, f"{kind}_info": {"vid": vid, "duration": duration}}


def omni(materials: list[dict[str, Any]], metas: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    metas = metas if metas is not None else [{"meta_type": "text", "text": "a boat"}]
    return video(model_req_key=OMNI, unified_edit_input={"material_list": materials, "meta_list": metas})


def test_a_blend_of_what_was_uploaded() -> None:
    bench = Bench()
    client = Client(bench)
    assert bench.post("generate", blend(client.picture(), client.picture()))["ret"] == "0"


def test_generate_refuses_files_that_were_never_committed() -> None:
    bench = Bench()
    client = Client(bench)
    assert bench.post("generate", blend("tos-cn-i-tb4s082cfz/invented"))["ret"] == "1000"
    address = client.apply(client.token(), len(PICTURE))["Result"]["UploadAddress"]
    client.send(address["StoreInfos"][0], PICTURE)
    assert bench.post("generate", blend(address["StoreInfos"][0]["StoreUri"]))["ret"] == "1000"
    assert bench.site.world.books(bench.now) == []
    assert Bench(check_uploads=False).post("generate", blend("invented"))["ret"] == "0"


def test_generate_refuses_files_of_another_account() -> None:
    bench = Bench()
    uri = Client(bench, "two").picture()
    assert bench.post("generate", blend(uri), "one")["ret"] == "1000"
    assert bench.post("generate", blend(uri), "two")["ret"] == "0"


def test_what_was_put_cannot_be_read_later() -> None:
    bench = Bench()
    uri = Client(bench).picture(method="PUT")
    assert bench.post("generate", blend(uri))["ret"] == "3020"


def test_an_omni_reference() -> None:
    bench = Bench()
    client = Client(bench)
    materials = [image_material(client.picture()), clip_material("video", client.video())]
    metas = [
        {"meta_type": "image", "text": "", "material_ref": {"material_idx": 0}},
        {"meta_type": "text", "text": " in "},
        {"meta_type": "video", "text": "", "material_ref": {"material_idx": 1}},
    ]
    assert bench.post("generate", omni(materials, metas))["ret"] == "0"
    wrong = [{"meta_type": "image", "text": "", "material_ref": {"material_idx": 1}}]
    assert bench.post("generate", omni(materials, wrong))["ret"] == "1000"
    for index in (2, -1, True, None):
        outside = [{"meta_type": "image", "text": "", "material_ref": {"material_idx": index}}]
        assert bench.post("generate", omni(materials, outside))["ret"] == "1000"


def test_limits_of_omni_references() -> None:
    bench = Bench()
    client = Client(bench)
    picture, clip = image_material(client.picture()), client.video()
    video_5s = clip_material("video", clip)
    assert bench.post("generate", omni([picture] * 9))["ret"] == "0"
    assert bench.post("generate", omni([picture] * 10))["ret"] == "1000"
    assert bench.post("generate", omni([video_5s] * 3))["ret"] == "0"
    assert bench.post("generate", omni([video_5s] * 4))["ret"] == "1000"
    assert bench.post("generate", omni([clip_material("audio", clip)]))["ret"] == "1000"
    assert bench.post("generate", omni([picture, clip_material("audio", clip)]))["ret"] == "0"
    assert (
        bench.post("generate", omni([clip_material("video", picture["image_info"]["uri"])]))["ret"] == "1000"
    )


def test_total_length_of_videos() -> None:
    bench = Bench()
    vid = Client(bench).video(b"\0\0\0\x18ftypmp42" + bytes(64))
    good, long, short = (clip_material("video", vid, ms) for ms in (15_400, 15_401, 1_999))
    assert bench.post("generate", omni([good]))["ret"] == "0"
    assert bench.post("generate", omni([long]))["ret"] == "1000"
    assert bench.post("generate", omni([short]))["ret"] == "1000"


def test_frames() -> None:
    bench = Bench()
    frame = {"image_uri": Client(bench).picture()}
    body = video()
    content = json.loads(body["draft_content"])
    params = content["component_list"][0]["abilities"]["gen_video"]["text_to_video_params"]
    params["video_gen_inputs"][0]["first_frame_image"] = frame
    assert bench.post("generate", {**body, "draft_content": json.dumps(content)})["ret"] == "0"
    params["video_gen_inputs"][0]["end_frame_image"] = {"image_uri": "invented"}
    assert bench.post("generate", {**body, "draft_content": json.dumps(content)})["ret"] == "1000"


def test_the_safety_check() -> None:
    bench = Bench()
    client = Client(bench)

    def checked(uri: str, session: str = "one") -> str:
        body = {"scene": "image_face_ip", "options": {"ip_check": True}, "file_list": [{"file_uri": uri}]}
        return str(bench.post("algo_proxy", body, session)["ret"])

    assert checked(client.picture()) == "0"
    assert checked(client.picture(PICTURE + b"[sim:reject-image]")) == "2003"
    assert checked("invented") == "1000"
    assert checked(client.picture(), "two") == "1000"


def test_other_calls_about_pictures() -> None:
    bench = Bench()
    uri = Client(bench).picture()
    assert bench.post("audit", {"uri_list": [uri]})["ret"] == "0"
    found = bench.post("image_by_uri", {"uris": [uri]})["data"]["uri2image"]
    assert found[uri]["image_uri"] == uri
    assert bench.post("image_by_uri", {"uri": uri})["ret"] == "1000"
