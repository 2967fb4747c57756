"""Hosts and numbers that differ between the site's clusters (1.1, 1.3), as data. CN is played so far."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Region:
    """One cluster."""

    name: str
    #: `aid` of the query and `appid` of the headers.
    aid: int
    #: The site's own address, without a slash.
    site: str
    #: The Referer that user_credit insists on (2.2).
    credit_referer: str
    #: Hosts under which the real site is reached; links made for them point to the real-looking CDN.
    hosts: frozenset[str]
    image_cdn: str
    cover_cdn: str
    video_cdn: str
    #: Prefix of image uris.
    image_store: str
    video_store: str
    #: The services that take files, what they call the site, and where the bytes go (1.1, 6).
    image_service: str
    video_service: str
    image_space: str
    video_space: str
    signing: str
    store_host: str
    #: Whether the query carries webId and the cookies `_tea_web_id`.
    web_id: bool


REGIONS = {
    "cn": Region(
        name="cn",
        aid=513695,
        site="https://jimeng.jianying.com",
        credit_referer="https://jimeng.jianying.com/ai-tool/image/generate",
        hosts=frozenset({"jimeng.jianying.com"}),
        image_cdn="https://p3-dreamina-sign.byteimg.com",
        cover_cdn="https://p26-dreamina-sign.byteimg.com",
        video_cdn="https://v9-artist.vlabvod.com",
        image_store="tos-cn-i-tb4s082cfz",
        video_store="tos-cn-v-148450",
        image_service="imagex.bytedanceapi.com",
        video_service="vod.bytedanceapi.com",
        image_space="tb4s082cfz",
        video_space="dreamina",
        signing="cn-north-1",
        store_host="tos-d-x-lq.bytedancevod.com",
        web_id=True,
    )
}
