"""A simulated site, a gateway process, a key and a fault proxy: all that a client program needs to be tried.

Everything is new for each stage, so what the site's books say was caused by one program alone. A step of a
program names itself at the beginning of each prompt, which arrives at the site: so spending is told by step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.media import a_png, an_mp4
from support.process import SHORT, Api, Gateway, gateway

from harness.faults import FaultProxy, fault_proxy
from jimeng_gateway.simulator.options import SimulatorOptions
from jimeng_gateway.simulator.server import Simulator

#: Pictures take 0.2 s and videos 1.2 s.
SITE = SimulatorOptions(speed=50)
#: A gateway that asks such a site often enough.
PACE: Mapping[str, str] = {
    **SHORT,
    "JIMENG_POLL_IMAGE_FIRST": "0.2",
    "JIMENG_POLL_IMAGE_EVERY": "0.2",
    "JIMENG_POLL_VIDEO_FIRST": "0.4",
    "JIMENG_POLL_VIDEO_EVERY": "0.3",
    # The stage serves the pictures that are given by URL.
    "JIMENG_EGRESS_ALLOWED_HOSTS": "127.0.0.1",
}
SESSIONS = 4
SLOTS = 6

#: What a program may fetch or send as a reference.
PICTURE = a_png(640, 480, b"a reference")
MASK = a_png(640, 480, b"a mask")
CLIP = an_mp4()
PICTURE_PATH = "/picture.png"


@dataclass(frozen=True, slots=True)
class Stage:
    """What has been set up for one program."""

    simulator: Simulator
    gateway: Gateway
    api: Api
    proxy: FaultProxy
    key: str
    folder: Path

    def environ(self) -> dict[str, str]:
        """What a program is told, by environment variables."""
        return {
            "GATEWAY_URL": self.proxy.url,
            "DIRECT_URL": self.gateway.url,
            "GATEWAY_KEY": self.key,
            "PICTURE_FILE": str(self.folder / "picture.png"),
            "MASK_FILE": str(self.folder / "mask.png"),
            "CLIP_FILE": str(self.folder / "clip.mp4"),
            "PICTURE_URL": self.proxy.url + PICTURE_PATH,
        }

    def submits(self) -> Counter[str]:
        """How many submits the site has taken, and charged, from each step; "" for those without its name.

        AssertionError if one of them was charged twice.
        """
        assert self.simulator.books()["twice"] == []
        return Counter(step_of(str(job["prompt"])) for job in self.simulator.jobs())

    def pending(self) -> int:
        """How many tasks are still to be submitted."""
        stages = self.api.stages()
        return stages.get("queued", 0) + stages.get("submitting", 0)


def step_of(prompt: str) -> str:
    """The step that a prompt at the site comes from; "" if it names none."""
    # The site's own mark for each picture that goes into another one stands before the prompt.
    name, colon, _ = prompt.lstrip("#").partition(":")
    return name if colon else ""


def credential(number: int) -> str:
    """By what the site knows the account of a session."""
    return f"{number:08d}{'5e55' * 6}"


@contextmanager
def stage(
    folder: Path, site: SimulatorOptions = SITE, *, sessions: int = SESSIONS, **environ: str
) -> Iterator[Stage]:
    """A stage for the time of the block; `environ` is for the gateway."""
    (folder / "picture.png").write_bytes(PICTURE)
    (folder / "mask.png").write_bytes(MASK)
    (folder / "clip.mp4").write_bytes(CLIP)
    with (
        Simulator(site) as simulator,
        gateway(folder, {**PACE, "JIMENG_UPSTREAM_URL": simulator.base_url, **environ}) as process,
        fault_proxy(lambda: process.url, {PICTURE_PATH: ("image/png", PICTURE)}) as proxy,
    ):
        api = Api(process)
        for number in range(sessions):
            api.call("POST", "/api/v1/sessions", {"credential": credential(number), "slots": SLOTS})
        key = str(api.call("POST", "/api/v1/keys", {"name": "acceptance"})["key"])
        yield Stage(simulator, process, api, proxy, key, folder)
