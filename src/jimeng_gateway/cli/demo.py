"""The demo: a simulated site, a real gateway and a caller, on this machine alone, in half a minute.

The caller uses nothing but the public HTTP API and shows each request as a curl line. All secrets in it are
made for the demo and die with it; the data lies in a temporary folder.
"""

from __future__ import annotations

import io
import json
import math
import os
import secrets
import shlex
import struct
import tempfile
import wave
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from jimeng_gateway.cli.children import Child, free_port, running, signals_end_us
from jimeng_gateway.cli.client import API, Client
from jimeng_gateway.cli.failures import ApiError, CommandError, UnreachableError
from jimeng_gateway.cli.follow import follow_all
from jimeng_gateway.cli.form import Form, Part
from jimeng_gateway.cli.language import language, named, say
from jimeng_gateway.cli.progress import board
from jimeng_gateway.cli.tasks import fetch
from jimeng_gateway.settings import PREFIX
from jimeng_gateway.simulator import Simulator, SimulatorOptions

#: Writes a line.
Tell = Callable[[str], None]

LONGEST_S = 180.0
_UP_S = 30.0
_DRAIN_S = 12.0

#: A site four times as fast as the real one, with most of a video's time spent in its queue.
SITE = SimulatorOptions(speed=4, image_s=16, video_s=68, queue_share=0.75)
#: A fast site is asked sooner and more often.
PACE = {
    "POLL_IMAGE_FIRST": "1s",
    "POLL_IMAGE_EVERY": "1s",
    "POLL_VIDEO_FIRST": "1s",
    "POLL_VIDEO_EVERY": "1s",
    "POLL_LONGEST": "1s",
}

#: What the third task is given: a picture that the first one made, a clip and a sound.
SEEDANCE = {
    "model": "seedance-2.0",
    "prompt": "@图片1 turns its light; the camera moves as in @视频1, to the rhythm of @音频1",
    "duration": 5,
}

WISHES = (
    {"kind": "image", "prompt": "A lighthouse above the clouds at dawn, ink and gold", "ratio": "16:9"},
    {
        "kind": "video",
        "prompt": "The camera rises along the lighthouse; the clouds drift by",
        "ratio": "16:9",
    },
)


class WrongFileError(CommandError):
    """A file is not what the task promised."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What has been set up for the caller."""

    simulator: Simulator
    gateway: Child
    url: str
    admin_token: str
    key: str
    #: Whether videos are submitted through a real Chromium; there may be none.
    signed: bool


def play(stream: TextIO, *, folder: Path, port: int, once: bool) -> None:
    """The whole demo. Raises CommandError with the reason when something does not work out."""

    def tell(text: str) -> None:
        stream.write(text + "\n")
        stream.flush()

    with (
        signals_end_us(),
        tempfile.TemporaryDirectory(prefix="jimeng-gateway-demo-") as data,
        _set_up(Path(data), port, tell) as stage,
    ):
        client = Client(stage.url, stage.key, language=language())
        tasks = _make(client, stage, stream, tell)
        files = [file for task in tasks for file in _fetch(client, stage, task, folder, tell)]
        made = _make_from_references(client, stage, files, folder, stream, tell)
        files += _fetch(client, stage, made, folder, tell)
        check_files(files)
        charges = stage.simulator.books()
        count, once_each = len(charges["charged"]), not charges["twice"]
        tell(
            say(
                f"\nThe site charged {count} jobs, each of them once: {once_each}.",
                f"\n网站共计费 {count} 个任务，每个只计费一次：{'是' if once_each else '否'}。",
            )
        )
        if not once:
            _stay(stage, tell)


@contextmanager
def _set_up(data: Path, port: int, tell: Tell) -> Iterator[Stage]:
    admin_token = f"demo-{secrets.token_hex(16)}"
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    tell(
        say(
            "A simulated Jimeng site and a real gateway, both on this machine alone: no account, no cost.\n",
            "模拟的即梦网站加真实的网关，都只在本机运行：不需要账号，不消耗积分。\n",
        )
    )
    signed, why_not = _browser()
    site = replace(SITE, require_signature="video" if signed else "off")
    with Simulator(site) as simulator:
        tell(say("simulator  ", "模拟网站  ") + simulator.base_url)
        if not signed:
            tell(
                say(
                    f"chromium   none: videos go over plain HTTP here ({why_not})",
                    f"浏览器    没有：视频改走普通 HTTP（{why_not}）",
                )
            )
        environ = _environ(data, port, simulator.base_url, admin_token)
        environ[f"{PREFIX}SUBMIT_ROUTE"] = "auto" if signed else "direct"
        with running("gateway", ["serve"], environ, data / "gateway.log", grace=_DRAIN_S) as gateway:
            gateway.wait_until(lambda: _pings(url), seconds=_UP_S)
            tell(say("gateway    ", "网关      ") + url)
            tell(say("its log    ", "网关日志  ") + str(gateway.log))
            admin = Client(url, admin_token, language=language())
            try:
                _add_session(admin, admin_token, tell)
                key = _make_key(admin, admin_token, tell)
                yield Stage(simulator, gateway, url, admin_token, key, signed)
            except UnreachableError:
                # If it died, its last words say more than that nobody answers.
                gateway.pause(1.0)
                gateway.check()
                raise


def _browser() -> tuple[bool, str]:
    """Whether there is a Chromium that can sign, and why not."""
    from jimeng_gateway.browser.chromium import Unusable, check
    from jimeng_gateway.browser.options import SignerOptions

    try:
        check(SignerOptions(folder=Path()))
    except Unusable as error:
        return False, str(error)
    return True, ""


def _add_session(admin: Client, token: str, tell: Tell) -> None:
    body = {"credential": secrets.token_hex(16), "label": "demo"}
    session = admin.post(f"{API}/sessions", body)
    tell(
        say(
            f"\nAdded the session {session['id']}: a login at the site, two tasks at once.",
            f"\n已添加会话 {session['id']}：网站上的一个登录，可同时跑两个任务。",
        )
    )
    tell(curl("POST", f"{admin.base}{API}/sessions", token, body))


def _make_key(admin: Client, token: str, tell: Tell) -> str:
    body = {"name": "demo"}
    key = admin.post(f"{API}/keys", body)
    tell(say(f"\nMade the key {key['id']} for the caller.", f"\n已为调用方创建密钥 {key['id']}。"))
    tell(curl("POST", f"{admin.base}{API}/keys", token, body))
    return str(key["key"])


def _make(client: Client, stage: Stage, stream: TextIO, tell: Tell) -> list[dict[str, Any]]:
    """Submits an image and a video and shows them on their way; both succeeded when it returns."""
    tasks = {}
    for wish in WISHES:
        task = client.post(f"{API}/tasks", wish)
        tasks[task["id"]] = task
        tell(
            say(
                f"\nSubmitted the {task['kind']} {task['id']} ({task['model']}).",
                f"\n已提交{named(task['kind'])}任务 {task['id']}（{task['model']}）。",
            )
        )
        tell(curl("POST", f"{client.base}{API}/tasks", stage.key, wish))
    tell(
        say(
            "\nTheir progress, as a stream (estimates are the site's own, and the site is pessimistic):",
            "\n以事件流查看进度（预计时间由网站给出，一般偏保守）：",
        )
    )
    for task_id in tasks:
        tell(curl("GET", f"{client.base}{API}/tasks/{task_id}/events", stage.key, accept="text/event-stream"))
    return _follow(client, stage, tasks, stream, tell)


def _make_from_references(
    client: Client, stage: Stage, files: list[Path], folder: Path, stream: TextIO, tell: Tell
) -> dict[str, Any]:
    """Submits a Seedance video from a picture, a clip and a sound; it succeeded when this returns."""
    sound = folder / "sound.wav"
    sound.write_bytes(tone(seconds=3))
    picture = next(file for file in files if kind_of(file) == "PNG")
    clip = next(file for file in files if kind_of(file) == "MP4")
    materials = (picture, clip, sound)
    task = client.send(f"{API}/tasks", Form(SEEDANCE, [Part("files", file) for file in materials]))
    tell(
        say(
            f"\nSubmitted a Seedance video from these three, {task['id']} ({task['model']}).",
            f"\n已用这三份参考素材提交 Seedance 视频任务 {task['id']}（{task['model']}）。",
        )
    )
    parts = [f"{name}={value}" for name, value in SEEDANCE.items()]
    parts += [f"files=@{file}" for file in materials]
    tell(curl("POST", f"{client.base}{API}/tasks", stage.key, form=parts))
    if stage.signed:
        tell(
            say(
                "Its submit is signed by the site's own script, in a real Chromium.",
                "这次提交由网站自己的脚本在真实的 Chromium 中签名。",
            )
        )
    return _follow(client, stage, {task["id"]: task}, stream, tell)[0]


def _follow(
    client: Client, stage: Stage, tasks: dict[str, dict[str, Any]], stream: TextIO, tell: Tell
) -> list[dict[str, Any]]:
    """Shows tasks on their way; all succeeded when it returns."""
    tell("")
    with board([(task["kind"], task) for task in tasks.values()], stream) as shown:
        for update in follow_all(client, list(tasks), seconds=LONGEST_S):
            shown.update(update)
            stage.gateway.check()
            if update is not None:
                tasks[update["id"]] = update
    for task in tasks.values():
        if task["stage"] != "succeeded":
            raise CommandError(
                f"the {task['kind']} {task['stage']}: {task['error_kind']}: {task['error_message']}",
                f"{named(task['kind'])}任务{named(task['stage'])}：{task['error_message']}",
            )
    return list(tasks.values())


def tone(*, seconds: int) -> bytes:
    """A quiet sound of 440 Hz as a WAV file."""
    rate = 16_000
    samples = (int(6000 * math.sin(math.tau * 440 * i / rate)) for i in range(seconds * rate))
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return file.getvalue()


def _fetch(client: Client, stage: Stage, task: dict[str, Any], folder: Path, tell: Tell) -> list[Path]:
    files = fetch(client, task, folder)
    names = ", ".join(str(file) for file in files)
    tell(say(f"\nFetched the {task['kind']}: {names}", f"\n已下载{named(task['kind'])}：{names}"))
    for index, file in enumerate(files):
        address = f"{client.base}{API}/tasks/{task['id']}/content?index={index}"
        tell(curl("GET", address, stage.key, output=str(file)))
    return files


def _stay(stage: Stage, tell: Tell) -> None:
    tell(say("\nThe gateway goes on until Ctrl-C.", "\n网关继续运行，按 Ctrl-C 结束。"))
    tell(say("    URL    ", "    地址    ") + stage.url)
    tell(say("    key    ", "    密钥    ") + stage.key)
    tell(say("    admin  ", "    管理员  ") + stage.admin_token)
    tell(say("Any OpenAI client can use it:", "任何 OpenAI 客户端都可以直接使用："))
    body = {"prompt": "A paper boat on a river of stars"}
    tell(curl("POST", f"{stage.url}/v1/images/generations", stage.key, body))
    try:
        while True:
            stage.gateway.check()
            stage.gateway.pause(1.0)
    except KeyboardInterrupt:
        tell(say("\nEnding the gateway and the site.", "\n正在停止网关和模拟网站。"))


def check_files(files: list[Path]) -> None:
    """WrongFileError unless there is a PNG and an MP4 among the files and nothing else."""
    kinds = [kind_of(file) for file in files]
    for file, kind in zip(files, kinds, strict=True):
        if kind is None:
            raise WrongFileError(f"{file} is neither a PNG nor an MP4", f"{file} 既不是 PNG 也不是 MP4")
    for wanted in ("PNG", "MP4"):
        if wanted not in kinds:
            raise WrongFileError(f"no {wanted} came", f"没有收到 {wanted}")


def kind_of(file: Path) -> str | None:
    """PNG or MP4, by content and for whole files only; None for anything else."""
    data = file.read_bytes()
    if data.startswith(b"\x89PNG\r\n\x1a\n") and b"IEND" in data[-12:]:
        return "PNG"
    if data[4:8] == b"ftyp" and b"moov" in data and b"mdat" in data:
        return "MP4"
    return None


def curl(
    method: str,
    url: str,
    token: str,
    body: object = None,
    *,
    form: Sequence[str] = (),
    accept: str = "",
    output: str = "",
) -> str:
    """A line that does the same request from a shell."""
    parts = ["curl", "-sS", url, "-H", f"Authorization: Bearer {token}"]
    if method != "GET" and body is None and not form:
        parts[2:2] = ["-X", method]
    if accept:
        parts += ["-N", "-H", f"Accept: {accept}"]
    if body is not None:
        parts += ["-H", "Content-Type: application/json", "-d", json.dumps(body, ensure_ascii=False)]
    for part in form:
        parts += ["-F", part]
    if output:
        parts += ["-o", output]
    return "  $ " + shlex.join(parts)


def _environ(data: Path, port: int, upstream: str, admin_token: str) -> dict[str, str]:
    """Our environment with the demo's settings instead of the operator's, and without a proxy in the way."""
    environ = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
    environ |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    chosen = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DATA_DIR": str(data / "data"),
        "ADMIN_TOKEN": admin_token,
        "UPSTREAM_URL": upstream,
        **PACE,
    }
    return {**environ, **{PREFIX + name: value for name, value in chosen.items()}}


def _pings(url: str) -> bool:
    try:
        return Client(url, "", timeout=2).text("/ping") == "pong"
    except (ApiError, UnreachableError):
        return False
