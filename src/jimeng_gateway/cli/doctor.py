"""Looks at everything that a gateway on this machine needs, and says for each thing what to do about it.

It changes nothing: no file is made, no migration applied, and no session is used to ask the site. Every check
stands alone, so that one finding does not hide the next.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import stat
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jimeng_gateway.cli.client import Client, client_of
from jimeng_gateway.cli.configuration import check_protocol_file, own_address, settings
from jimeng_gateway.cli.failures import ApiError, NotReadyError, UnreachableError
from jimeng_gateway.domain.errors import GatewayError, UpstreamFailure
from jimeng_gateway.secrets import KEY_FILE, SHORTEST_KEY
from jimeng_gateway.settings import CONFIG, PREFIX, Settings, SettingsError

#: The site takes its time from the request; beyond this it may refuse the signature of a call.
SKEW_WARN_S = 30.0
SKEW_FAIL_S = 300.0
LITTLE_SPACE = 1 << 30
_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Check:
    """One finding."""

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    #: What to do; empty when there is nothing to do.
    advice: str = ""


def examine(environ: Mapping[str, str]) -> list[Check]:
    """All findings, in the order in which one would mend them."""
    try:
        chosen = settings(environ)
        check_protocol_file(chosen)
    except SettingsError as error:
        return [
            Check(
                "configuration",
                "fail",
                f"{one.name}: {one.problem}",
                f"allowed: {one.allowed}" if one.allowed else "",
            )
            for one in error.problems
        ]
    checks = [_configuration(chosen, environ)]
    for look in (_data_dir, _key_file, _database, _archive, _upstream, _clock, _browser, _service):
        checks.extend(look(chosen))
    return checks


def _configuration(settings: Settings, environ: Mapping[str, str]) -> Check:
    given = sorted(name for name in environ if name.startswith(PREFIX) and name != CONFIG)
    source = f"{len(given)} settings from the environment" if given else "all settings at their defaults"
    if environ.get(CONFIG):
        source += f", the file {environ[CONFIG]}"
    if settings.host not in ("127.0.0.1", "::1", "localhost") and not settings.public_url.startswith(
        "https:"
    ):
        return Check(
            "configuration",
            "warn",
            f"{source}; it listens on {settings.host} for other machines, without encryption",
            "put a proxy with TLS in front and name its address in JIMENG_PUBLIC_URL",
        )
    return Check("configuration", "ok", source)


def _data_dir(settings: Settings) -> Iterator[Check]:
    folder = settings.data_dir.absolute()
    standing = next(each for each in (folder, *folder.parents) if each.exists())
    if not standing.is_dir() or not _writable(standing):
        yield Check(
            "data directory",
            "fail",
            f"{standing} cannot be written",
            f"give it to this user, or set {PREFIX}DATA_DIR",
        )
        return
    free = shutil.disk_usage(standing).free
    made = "" if standing == folder else " (made at the first start)"
    found = f"{folder}{made}, {free / LITTLE_SPACE:.1f} GiB free"
    if free < LITTLE_SPACE:
        yield Check("data directory", "warn", found, "results are stored there: make room")
    else:
        yield Check("data directory", "ok", found)


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)


def _key_file(settings: Settings) -> Iterator[Check]:
    path = settings.data_dir / KEY_FILE
    if settings.secret_key:
        yield Check("secret key", "ok", f"from {PREFIX}SECRET_KEY")
        return
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        key = path.read_bytes().strip()
    except FileNotFoundError:
        yield Check("secret key", "ok", f"{path} (made at the first start)")
        return
    except OSError as error:
        yield Check(
            "secret key",
            "fail",
            f"{path}: {error.strerror}",
            f"make it readable for this user: chown and chmod 600 {path}",
        )
        return
    if mode & 0o077:
        yield Check(
            "secret key", "fail", f"{path} may be read by others (mode {mode:04o})", f"chmod 600 {path}"
        )
    elif len(key) < SHORTEST_KEY:
        yield Check("secret key", "fail", f"{path} is damaged", "bring it back from a backup")
    else:
        yield Check("secret key", "ok", f"{path}, mode 0600; keep a copy, no credential opens without it")


def _database(settings: Settings) -> Iterator[Check]:
    from jimeng_gateway.app import sqlite_path

    if settings.database_url.startswith("postgresql:"):
        yield _schema_check("PostgreSQL", lambda: _postgres_versions(settings.database_url))
        return
    import apsw

    from jimeng_gateway.store.sqlite import OLDEST_SQLITE

    engine = f"SQLite {apsw.sqlite_lib_version()}"
    if tuple(map(int, apsw.sqlite_lib_version().split("."))) < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        yield Check(
            "database",
            "fail",
            f"{engine} may corrupt a database in WAL mode",
            f"install apsw {oldest} or newer",
        )
        return
    path = sqlite_path(settings)
    if not path.exists():
        yield Check("database", "ok", f"{engine}, {path} (made at the first start)")
        return
    yield _schema_check(f"{engine}, {path}", lambda: _sqlite_versions(path))


def _schema_check(engine: str, versions: Callable[[], set[int]]) -> Check:
    """Compares what is applied with what this version knows."""
    from jimeng_gateway.store.database import migrations

    known = {version for version, _ in migrations()}
    try:
        done = versions()
    except GatewayError as error:
        return Check(
            "database", "fail", f"{engine}: {error.message}", f"check {PREFIX}DATABASE_URL and that it runs"
        )
    if done - known:
        return Check(
            "database", "fail", f"{engine}: schema {max(done)} is of a newer version", "upgrade the gateway"
        )
    if known - done:
        return Check(
            "database", "ok", f"{engine}: schema {max(done, default=0)}; `serve` brings it to {max(known)}"
        )
    return Check("database", "ok", f"{engine}: schema {max(done)}")


def _sqlite_versions(path: Path) -> set[int]:
    import apsw

    from jimeng_gateway.store.sqlite import translate

    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(5000)
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'schema_version'").fetchall()
        rows = connection.execute("SELECT version FROM schema_version").fetchall() if tables else []
        connection.close()
    except apsw.Error as error:
        raise translate(error) from error
    return {int(str(row[0])) for row in rows}


def _postgres_versions(url: str) -> set[int]:
    import psycopg

    from jimeng_gateway.store.postgres import translate

    try:
        with psycopg.connect(url, connect_timeout=int(_PATIENCE_S)) as connection:
            found = connection.execute("SELECT to_regclass('schema_version')").fetchone()
            if found is None or found[0] is None:
                return set()
            return {
                int(row[0]) for row in connection.execute("SELECT version FROM schema_version").fetchall()
            }
    except psycopg.Error as error:
        raise translate(error) from error


def _archive(settings: Settings) -> Iterator[Check]:
    """Whether a small object can be put into the archive, had back and removed."""
    if not settings.archive_url:
        return
    from jimeng_gateway.app import archive_from
    from jimeng_gateway.clock import SystemClock, new_id

    clock = SystemClock()

    async def there_and_back() -> str:
        archive = archive_from(settings, clock)
        assert archive is not None
        assert archive.home is not None
        try:
            await archive.probe(archive.home, new_id("doctor", clock.now()))
            return f"s3://{archive.home.bucket}/{archive.home.prefix} at {archive.home.endpoint}"
        finally:
            await archive.close()

    try:
        yield Check("archive", "ok", f"{asyncio.run(there_and_back())} takes, gives and removes files")
    except GatewayError as error:
        yield Check("archive", "fail", error.message, f"check {PREFIX}ARCHIVE_URL and its keys")


def _upstream(settings: Settings) -> Iterator[Check]:
    for address in _site_addresses(settings):
        try:
            _ask(address)
        except (urllib.error.URLError, OSError) as error:
            reason = getattr(error, "reason", None) or error
            yield Check("upstream", "fail", f"{address}: {_in_words(reason)}", _cure(reason))
        else:
            yield Check(
                "upstream",
                "ok",
                f"{address} answers" + (", certificate good" if address.startswith("https") else ""),
            )


def _site_addresses(settings: Settings) -> list[str]:
    from jimeng_gateway.upstream.wire import protocol

    if settings.upstream_url:
        return [settings.upstream_url]
    constants = protocol.builtin()
    if settings.protocol_file:
        constants = protocol.overridden(Path(settings.protocol_file).read_text("utf-8"))
    return list(
        dict.fromkeys(
            address for one in constants.regions.values() for address in (one.site, one.api, one.commerce)
        )
    )


def _ask(address: str) -> None:
    """Returns when anything answered in HTTP, through the proxy if one is configured."""
    request = urllib.request.Request(address, method="HEAD")  # noqa: S310 - addresses are checked to be http(s)
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S):  # noqa: S310
            return
    except urllib.error.HTTPError as error:
        error.close()


def _in_words(reason: object) -> str:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({reason.verify_message})"
    if isinstance(reason, socket.gaierror):
        return "its name is not known here"
    if isinstance(reason, TimeoutError):
        return f"no answer within {_PATIENCE_S:g} s"
    return str(getattr(reason, "strerror", None) or reason)


def _cure(reason: object) -> str:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "install ca-certificates, or name your own certificates in SSL_CERT_FILE"
    if isinstance(reason, socket.gaierror):
        return "check DNS and the network; behind a proxy set HTTPS_PROXY"
    return "check the network and firewall; behind a proxy set HTTPS_PROXY"


def _clock(settings: Settings) -> Iterator[Check]:
    from jimeng_gateway.app import upstream_from

    async def skew() -> float:
        upstream = upstream_from(settings)
        try:
            return await upstream.clock_skew()
        finally:
            await upstream.close()

    try:
        ahead = asyncio.run(skew())
    except UpstreamFailure as error:
        yield Check(
            "clock", "warn", f"not compared with the site: {error.message}", "mend the upstream first"
        )
        return
    found = f"{abs(ahead):.0f} s {'behind' if ahead > 0 else 'ahead of'} the site"
    if abs(ahead) > SKEW_WARN_S:
        status: Literal["warn", "fail"] = "fail" if abs(ahead) > SKEW_FAIL_S else "warn"
        yield Check("clock", status, found, "set the clock, for example with chrony or systemd-timesyncd")
    else:
        yield Check("clock", "ok", found)


def _browser(settings: Settings) -> Iterator[Check]:
    from jimeng_gateway.browser.chromium import Unusable, check, lack
    from jimeng_gateway.browser.options import SignerOptions

    options = SignerOptions(
        folder=settings.data_dir / "browser",
        chromium=settings.chromium,
        sandbox=settings.chromium_sandbox,
        user=settings.chromium_user,
    )
    try:
        path, lacking = check(options), lack()
        yield Check("chromium", "warn" if lacking else "ok", path, lacking)
    except Unusable as error:
        # Images do without; only what goes through the browser waits for it.
        yield Check("chromium", "warn", str(error), "videos cannot be submitted until this is mended")


def _service(settings: Settings) -> Iterator[Check]:
    url = own_address(settings)
    if settings.port == 0 or _is_free(settings.host, settings.port):
        yield Check("port", "ok", f"{settings.host}:{settings.port} is free; no gateway is running there")
        return
    try:
        running = Client(url, "", timeout=3).text("/ping") == "pong"
    except (ApiError, UnreachableError):
        running = False
    if not running:
        yield Check(
            "port",
            "fail",
            f"{settings.host}:{settings.port} is taken by something else",
            f"end it, or set {PREFIX}PORT",
        )
        return
    yield Check("port", "ok", f"a gateway answers at {url}")
    yield from _readiness(settings)


def _readiness(settings: Settings) -> Iterator[Check]:
    client = client_of(settings)
    try:
        client.get("/health/ready")
    except NotReadyError as error:
        yield Check("gateway", "warn", str(error), "see `jimeng-gateway session list` and its log")
    except ApiError as error:
        if error.status in (401, 403):
            yield Check("gateway", "warn", "not asked: it needs a key", f"set {PREFIX}GATEWAY_KEY")
        else:
            yield Check("gateway", "warn", str(error), "see its log")
    except UnreachableError as error:
        yield Check("gateway", "warn", str(error))
    else:
        yield Check("gateway", "ok", "ready")


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
