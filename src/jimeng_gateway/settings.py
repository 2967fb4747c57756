"""Everything an operator can choose, declared once: name, type, default, allowed form and meaning.

Environment variables `JIMENG_*` stand over one optional TOML file (`JIMENG_CONFIG`). Nothing is guessed: an
unknown name or an impossible value stops the start, and all problems are told at once. The reference page
docs/settings.md is generated from the declarations below.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from jimeng_gateway.forms import (
    ALIASES,
    ARCHIVE,
    BASE,
    BOOLEAN,
    DATABASE,
    DAY,
    FILE,
    HOST,
    HOSTS,
    LOGIN,
    PATH,
    PROGRAM,
    PUBLIC,
    ROUTES,
    SECRET_KEY,
    TOKEN,
    Form,
    RefusedError,
    duration,
    one_of,
    spell,
    whole,
)

T = TypeVar("T")

PREFIX = "JIMENG_"
#: Names the TOML file; the only variable that is not a setting itself.
CONFIG = "JIMENG_CONFIG"
DATA_DIR = Path("data")

#: What Kubernetes puts into every pod beside a service called "jimeng" or "jimeng-gateway".
_SERVICE_LINK = re.compile(r"JIMENG_(GATEWAY_)?(SERVICE_(HOST|PORT)|PORT)(_\w+)?")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration."""

    #: The variable, or the key and the file it stands in.
    name: str
    problem: str
    #: The form that would have been right; empty when the name itself is wrong.
    allowed: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.problem}" + (f"; allowed: {self.allowed}" if self.allowed else "")


class SettingsError(Exception):
    """The configuration cannot be used; `problems` holds everything that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def _setting(form: Form[T], default: T, doc: str, *, group: str = "", secret: bool = False) -> T:
    """Declares a field; `group` opens a new section of the reference page."""
    metadata = {"form": form, "doc": doc, "group": group, "secret": secret}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """All settings, checked. Durations are seconds. The repr shows no secret."""

    host: str = _setting(
        HOST, "127.0.0.1", "Address to listen on. `0.0.0.0` for every interface.", group="The service"
    )
    port: int = _setting(whole(0, 65535), 5100, "Port to listen on; `0` takes any free one.")
    public_url: str = _setting(
        PUBLIC,
        "",
        "Address under which callers reach the gateway; links in replies start with it. "
        "Empty: the address of the request.",
    )
    log_format: Literal["console", "json"] = _setting(
        one_of("console", "json"), "console", "How log lines look."
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        one_of("debug", "info", "warning", "error"), "info", "Least important line to log."
    )
    drain: float = _setting(duration(0, 600), 10.0, "How long a stopping process finishes what it is doing.")
    data_dir: Path = _setting(  # noqa: RUF009 - the call declares a field, and a Path is immutable
        PATH,
        DATA_DIR,
        "Where the database, the key file and the results lie.",
        group="Storage and secrets",
    )
    database_url: str = _setting(
        DATABASE, "", "The database. Empty: the SQLite file `gateway.db` in the data directory.", secret=True
    )
    admin_token: str = _setting(
        TOKEN,
        "",
        "Token of the administrator. Empty: the first start makes one and prints it once.",
        secret=True,
    )
    secret_key: str = _setting(
        SECRET_KEY,
        "",
        "Key under which session credentials are encrypted. "
        "Empty: the file `secret.key` in the data directory, made at the first start.",
        secret=True,
    )
    upstream_url: str = _setting(
        BASE,
        "",
        "One address that stands for all hosts of the site, as the simulator does. Empty: the real hosts.",
        group="Upstream",
    )
    protocol_file: str = _setting(
        FILE, "", "TOML file laid over the built-in protocol data (versions, hosts, codes)."
    )
    connect_timeout: float = _setting(duration(0.1, 300), 10.0, "Longest wait for a connection to the site.")
    submit_timeout: float = _setting(duration(1, 600), 60.0, "Longest wait for the reply to a submit.")
    poll_timeout: float = _setting(duration(1, 600), 30.0, "Longest wait for the reply to a poll.")
    download_timeout: float = _setting(duration(1, 3600), 60.0, "Longest pause within a download.")
    catalogue_refresh: float = _setting(
        duration(60), 21_600.0, "How often the live model catalogue is read again."
    )
    model_aliases: tuple[tuple[str, str], ...] = _setting(
        ALIASES,
        (),
        "Other names for models, beside those that other services' programs have built in (`sora-2`, "
        "`gpt-image-1`, Ark's ids). `default-image` and `default-video` stand for the usual model.",
    )
    submit_route: Literal["auto", "browser", "direct"] = _setting(
        one_of("auto", "browser", "direct"),
        "auto",
        "How submits reach the site: videos through its own page in a Chromium and images over plain HTTP "
        "(`auto`), or all of them one way. A session's own route comes first.",
        group="The browser",
    )
    model_routes: tuple[tuple[str, str], ...] = _setting(
        ROUTES, (), "Models that go another way than `JIMENG_SUBMIT_ROUTE` says."
    )
    chromium: str = _setting(
        PROGRAM, "", "The Chromium that signs. Empty: the first known one that is installed."
    )
    chromium_sandbox: bool = _setting(
        BOOLEAN, True, "Whether Chromium's own processes are confined; off only where that cannot work."
    )
    chromium_user: str = _setting(
        PROGRAM, "nobody", "Whose processes Chromium's are when the gateway runs as root."
    )
    browser_max_contexts: int = _setting(
        whole(1, 1000), 20, "Most sessions with an open page at once; each takes some 60 MB."
    )
    browser_idle_close: float = _setting(
        duration(1, DAY), 600.0, "Time after which the page of a session that submits nothing is closed."
    )
    browser_page_age: float = _setting(
        duration(1, DAY), 3600.0, "Age at which a page is loaded anew before its next submit."
    )
    browser_ready_timeout: float = _setting(
        duration(1, 600), 30.0, "Longest wait until the site's script has taken over its page."
    )
    session_slots: int = _setting(
        whole(1, 64),
        2,
        "Most tasks at once on a session that has no number of its own.",
        group="Life of a task",
    )
    image_deadline: float = _setting(duration(1), 3600.0, "Time after which an unfinished image task fails.")
    video_deadline: float = _setting(duration(1), DAY, "Time after which an unfinished video task fails.")
    late_window: float = _setting(
        duration(0), 7 * DAY, "How long after its deadline a result is still collected, and marked late."
    )
    max_attempts: int = _setting(
        whole(1, 100), 5, "Most submissions of one task, counting only those that were surely not accepted."
    )
    lease: float = _setting(
        duration(1, 3600), 30.0, "Time after which the work of a process that went silent is taken over."
    )
    reconcile: float = _setting(
        duration(1, 3600), 30.0, "How long the site is asked for a submission whose reply was lost."
    )
    max_result_mb: int = _setting(whole(1, 1_048_576), 2048, "Largest file that is downloaded, in MiB.")
    archive_url: str = _setting(
        ARCHIVE,
        "",
        "S3-compatible storage for finished files. Empty: they stay in the data directory.",
        group="Results",
    )
    archive_key_id: str = _setting(LOGIN, "", "Access key id for the archive.", secret=True)
    archive_secret: str = _setting(
        LOGIN,
        "",
        "Secret access key for the archive. Both stay needed as long as files lie there.",
        secret=True,
    )
    link_ttl: float = _setting(
        duration(0),
        0.0,
        "How long the signed links to results are good, at least; then they are made anew. `0`: for ever.",
    )
    result_retention: float = _setting(
        duration(0, 3660 * DAY), 0.0, "Age at which the files of a result are removed. `0`: never."
    )
    result_max_gb: int = _setting(
        whole(0, 1_048_576),
        0,
        "Room for all results together, in GiB; beyond it the oldest are removed. `0`: any.",
    )
    max_reference_mb: int = _setting(
        whole(1, 10_240),
        200,
        "Largest single reference (picture, clip or sound) that is taken in, in MiB.",
        group="References",
    )
    reference_retention: float = _setting(
        duration(0),
        DAY,
        "How long the references of a task that has ended are kept, so that it can be retried.",
    )
    file_retention: float = _setting(
        duration(60), DAY, "How long a file of `POST /api/v1/files` can be used."
    )
    intake_timeout: float = _setting(
        duration(1, 86_400), 600.0, "Longest time for all references of a request to arrive."
    )
    upload_reuse: float = _setting(
        duration(0, DAY),
        21_600.0,
        "How long a reference that was uploaded for a session is used again for its other tasks.",
    )
    egress_allowed_hosts: str = _setting(
        HOSTS,
        "",
        "Hosts from which references may be fetched by URL, and to which callbacks may be sent; these may be "
        "private or on this machine. "
        "Empty: every public host.",
    )
    poll_image_first: float = _setting(
        duration(0, 3600), 9.5, "Age at which an image is first asked for.", group="Pace"
    )
    poll_image_every: float = _setting(
        duration(0.1, 3600), 2.0, "Shortest interval between polls of an image."
    )
    poll_video_first: float = _setting(duration(0, 3600), 32.0, "Age at which a video is first asked for.")
    poll_video_every: float = _setting(
        duration(0.1, 3600), 5.0, "Shortest interval between polls of a video."
    )
    poll_longest: float = _setting(
        duration(0.1, 3600), 30.0, "Longest interval between polls, as in a long queue."
    )
    submit_concurrency: int = _setting(whole(1, 1024), 32, "Most submits under way at once in a process.")
    poll_concurrency: int = _setting(whole(1, 1024), 64, "Most polls under way at once in a process.")
    download_concurrency: int = _setting(whole(1, 256), 8, "Most downloads under way at once in a process.")
    gateway_url: str = _setting(
        PUBLIC,
        "",
        "The gateway that the commands talk to. Empty: the one on this machine, at `JIMENG_PORT`.",
        group="The command line",
    )
    gateway_key: str = _setting(
        TOKEN, "", "Key or admin token that the commands send. Empty: the admin token.", secret=True
    )
    lang: Literal["auto", "en", "zh"] = _setting(
        one_of("auto", "en", "zh"),
        "auto",
        "Language in which the commands speak, English or Chinese; `auto` goes by "
        "`LC_ALL`, `LC_MESSAGES` and `LANG`.",
    )
    json_output: bool = _setting(BOOLEAN, False, "Commands answer in JSON as if `--json` were given.")

    def __repr__(self) -> str:
        shown = (f"{spec.name}={_masked(spec, getattr(self, spec.name))!r}" for spec in SPECS)
        return f"Settings({', '.join(shown)})"


@dataclass(frozen=True, slots=True)
class Spec:
    """A declaration above, as data."""

    name: str
    form: Form[Any]
    default: object
    doc: str
    group: str
    secret: bool

    @property
    def variable(self) -> str:
        """The name in the environment."""
        return PREFIX + self.name.upper()


SPECS: tuple[Spec, ...] = tuple(
    Spec(name=each.name, default=each.default, **each.metadata) for each in fields(Settings)
)
_BY_NAME = {spec.name: spec for spec in SPECS}
_BY_VARIABLE = {spec.variable: spec for spec in SPECS}


def load(environ: Mapping[str, str], read_file: Callable[[Path], str]) -> Settings:
    """The settings in force, or SettingsError with everything that is wrong.

    `read_file` reads the TOML file that JIMENG_CONFIG names; it may raise OSError.
    """
    problems: list[Problem] = []
    values = _from_file(environ.get(CONFIG, ""), read_file, problems)
    for name in sorted(environ):
        if not name.upper().startswith(PREFIX) or name == CONFIG:
            continue
        spec = _BY_VARIABLE.get(name)
        if spec is None:
            problems.append(Problem(name, _unknown(name, _BY_VARIABLE)))
        else:
            _take(spec, environ[name], name, values, problems)
    settings = Settings(**values)
    problems.extend(_contradictions(settings))
    if problems:
        raise SettingsError(tuple(problems))
    return settings


def _from_file(named: str, read_file: Callable[[Path], str], problems: list[Problem]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if not named:
        return values
    try:
        table = tomllib.loads(read_file(Path(named)))
    except OSError as error:
        problems.append(Problem(CONFIG, f"{named} cannot be read: {error.strerror or error}", "a TOML file"))
        return values
    except ValueError as error:
        problems.append(Problem(CONFIG, f"{named} is not TOML: {error}", "a TOML file"))
        return values
    for key, value in table.items():
        spec = _BY_NAME.get(key)
        where = f"{key} (in {named})"
        if spec is None:
            problems.append(Problem(where, _unknown(key, _BY_NAME)))
        else:
            _take(spec, value, where, values, problems)
    return values


def _take(spec: Spec, raw: object, where: str, values: dict[str, Any], problems: list[Problem]) -> None:
    """Reads one value into `values`, or says what is wrong with it."""
    try:
        values[spec.name] = spec.form.read(_as_text(raw, spec.form))
    except RefusedError as refused:
        hidden = spec.secret or "@" in str(raw) or raw == ""
        problem = str(refused) if raw != "" else "is empty"
        if _SERVICE_LINK.fullmatch(where) and str(raw).startswith("tcp://"):
            problem += " (Kubernetes sets it; use `enableServiceLinks: false` in the pod)"
        problems.append(
            Problem(where, problem + ("" if hidden else f": {str(raw)[:80]!r}"), spec.form.allowed)
        )


def _as_text(raw: object, form: Form[Any]) -> str:
    if isinstance(raw, str):
        return raw.strip()
    if type(raw) not in form.native:
        raise RefusedError("has the wrong TOML type")
    return str(raw).lower()


def _unknown(name: str, known: Mapping[str, Spec]) -> str:
    if _SERVICE_LINK.fullmatch(name):
        return "no such setting (Kubernetes sets it; use `enableServiceLinks: false` in the pod)"
    near = difflib.get_close_matches(
        name if name in known else _same_case(name, known), known, n=1, cutoff=0.6
    )
    return "no such setting" + (f"; did you mean {near[0]}?" if near else "")


def _same_case(name: str, known: Mapping[str, Spec]) -> str:
    return name.upper() if known is _BY_VARIABLE else name.lower()


def _contradictions(settings: Settings) -> list[Problem]:
    """Values that are each all right and cannot hold together."""
    found = [
        Problem(
            PREFIX + name.upper(),
            "is longer than JIMENG_POLL_LONGEST",
            f"at most {spell(settings.poll_longest)}",
        )
        for name in ("poll_image_every", "poll_video_every")
        if getattr(settings, name) > settings.poll_longest
    ]
    if bool(settings.archive_key_id) != bool(settings.archive_secret) or (
        settings.archive_url and not settings.archive_key_id
    ):
        allowed = "JIMENG_ARCHIVE_KEY_ID and JIMENG_ARCHIVE_SECRET, both or neither"
        found.append(Problem(PREFIX + "ARCHIVE_KEY_ID", "the archive needs both of its keys", allowed))
    return found


def _masked(spec: Spec, value: object) -> object:
    return "***" if spec.secret and value else value
