"""A process that uploads a file and says how much more memory that took than uploading a small one.

Arguments: address of the site, a small file, a large file. Prints bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import resource
import sys
from pathlib import Path

from support.wire import counting_ids

from jimeng_gateway.clock import SystemClock
from jimeng_gateway.domain.reference import Media, Reference
from jimeng_gateway.domain.route import Route
from jimeng_gateway.upstream.client import HttpUpstream
from jimeng_gateway.upstream.wire import identity, protocol


def peak() -> int:
    """The most memory that this process has held so far, in bytes."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes if sys.platform == "darwin" else kilobytes * 1024


async def main(url: str, small: Path, large: Path) -> None:
    """Uploads both."""
    clock = SystemClock()
    me = identity.identity(identity.parse_credential("a" * 32), identity.draw_web_id(1), "s", clock.now())
    upstream = HttpUpstream(
        protocol.builtin(), usual=Route.DIRECT, clock=clock, ids=counting_ids(), upstream_url=url
    )

    async def upload(path: Path) -> None:
        digest = hashlib.sha256(path.name.encode()).hexdigest()
        size = (await asyncio.to_thread(path.stat)).st_size
        reference = Reference(Media.VIDEO, digest, "video/mp4", size)
        await upstream.upload(me, reference, path)

    await upload(small)
    before = peak()
    await upload(large)
    print(peak() - before)
    await upstream.close()


asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
