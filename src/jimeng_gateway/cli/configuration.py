"""The settings as the commands see them, and what can only be checked on the machine itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from jimeng_gateway.settings import Problem, Settings, SettingsError, load

#: Addresses that mean every interface; a client on this machine uses loopback instead.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound


def settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this process's environment; raises SettingsError."""
    return load(environ, lambda path: path.read_text(encoding="utf-8"))


def own_address(settings: Settings) -> str:
    """Where `serve` with these settings is reached from this machine."""
    host = _EVERYWHERE.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def gateway_address(settings: Settings) -> str:
    """Where the gateway is that the commands talk to."""
    return settings.gateway_url or own_address(settings)


def check_protocol_file(settings: Settings) -> None:
    """SettingsError if the file of protocol constants cannot be used."""
    if not settings.protocol_file:
        return
    from jimeng_gateway.upstream.wire import protocol

    try:
        protocol.overridden(Path(settings.protocol_file).read_text(encoding="utf-8"))
    except OSError as error:
        problem = f"{settings.protocol_file} cannot be read: {error.strerror or error}"
    except ValueError as error:
        problem = f"{settings.protocol_file}: {error}"
    else:
        return
    raise SettingsError((Problem("JIMENG_PROTOCOL_FILE", problem, "a TOML file of protocol data, or empty"),))
