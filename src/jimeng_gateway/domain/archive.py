"""Where an archive of finished files is: one address in words, as operators write it and rows keep it.

    s3://bucket/prefix?endpoint=https://minio.example:9000&region=us-east-1&style=path

It holds no secret, so that a row can say in full where its file lies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

#: Lower-case letters, digits, dots and dashes, as all S3-compatible storages take them.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()-]+(/[A-Za-z0-9!_.*'()-]+)*")
_REGION = re.compile(r"[a-z0-9-]{1,64}")
_NAMES = ("endpoint", "region", "style")


@dataclass(frozen=True, slots=True)
class ArchiveAddress:
    """A bucket, or a part of one, of an S3-compatible storage."""

    bucket: str
    #: Names of objects begin with it and a slash; empty for the whole bucket.
    prefix: str = ""
    #: `https://host:port`; never empty.
    endpoint: str = "https://s3.us-east-1.amazonaws.com"
    region: str = "us-east-1"
    #: Whether the bucket is the first part of the path, or else of the host name.
    path_style: bool = False

    @classmethod
    def parse(cls, text: str) -> ArchiveAddress:
        """Reads an address; ValueError says what is wrong without repeating it."""
        url = urlsplit(text)
        prefix = url.path.strip("/")
        if url.scheme != "s3" or url.fragment or not _BUCKET.fullmatch(url.netloc):
            raise ValueError("does not begin with `s3://` and the name of a bucket")
        if prefix and (
            not _PREFIX.fullmatch(prefix) or any(set(part) == {"."} for part in prefix.split("/"))
        ):
            raise ValueError("has a prefix that no object may begin with")
        given = dict(parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query)))
        if not set(given) <= set(_NAMES):
            raise ValueError(f"has other parameters than {', '.join(_NAMES)}")
        region = given.get("region", "us-east-1")
        if not _REGION.fullmatch(region):
            raise ValueError("has a region that is none")
        own = "endpoint" in given
        endpoint = _endpoint(given["endpoint"]) if own else f"https://s3.{region}.amazonaws.com"
        style = given.get("style", "path" if own or "." in url.netloc else "virtual")
        if style not in ("path", "virtual"):
            raise ValueError("has a style that is neither `path` nor `virtual`")
        return cls(url.netloc, prefix, endpoint, region, style == "path")

    def __str__(self) -> str:
        style = "path" if self.path_style else "virtual"
        query = urlencode({"endpoint": self.endpoint, "region": self.region, "style": style}, quote_via=quote)
        return f"s3://{self.bucket}/{self.prefix}?{query}"

    def same_objects(self, other: ArchiveAddress) -> bool:
        """Whether both name the same part of a bucket, however it is reached."""
        return (self.bucket, self.prefix) == (other.bucket, other.prefix)


def _endpoint(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname or re.search(r"[\s\\]", text):
        raise ValueError("has an endpoint that is no http or https address")
    if url.username is not None or url.path.strip("/") or url.query or url.fragment or url.port == 0:
        raise ValueError("has an endpoint with more than scheme, host and port")
    return f"{url.scheme}://{url.netloc}"
