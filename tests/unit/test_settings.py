"""Configuration is read exactly, or refused with everything that is wrong; no message tells a secret."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from jimeng_gateway.forms import BOOLEAN, RefusedError, duration, spell
from jimeng_gateway.settings import SPECS, Problem, Settings, SettingsError, load

ROOT = Path(__file__).resolve().parents[2]


def no_file(path: Path) -> str:
    raise FileNotFoundError(2, "No such file or directory", str(path))


def problems(environ: dict[str, str], toml: str = "") -> dict[str, Problem]:
    with pytest.raises(SettingsError) as caught:
        load(environ, lambda _: toml)
    return {problem.name: problem for problem in caught.value.problems}


def test_an_empty_environment_gives_the_defaults() -> None:
    assert load({}, no_file) == Settings()
    assert load({"HOME": "/home/me", "PATH": "/bin"}, no_file) == Settings()


def test_every_default_is_a_value_that_its_own_form_takes() -> None:
    for spec in SPECS:
        assert spec.form.read(written(spec.default)) == spec.default, spec.name


def written(default: object) -> str:
    """A default as an operator would write it; a list without entries is an empty text."""
    if isinstance(default, bool):
        return str(default).lower()
    return "" if default == () else str(default)


def test_the_environment_stands_over_the_file() -> None:
    toml = 'port = 6000\nsession_slots = "3"\njson_output = true\ndrain = 2.5\nlate_window = "2d"'
    settings = load({"JIMENG_CONFIG": "x.toml", "JIMENG_PORT": "7000"}, lambda _: toml)
    assert (settings.port, settings.session_slots, settings.json_output) == (7000, 3, True)
    assert (settings.drain, settings.late_window) == (2.5, 172_800.0)


def test_the_file_that_is_read_is_the_one_that_is_named() -> None:
    seen: list[Path] = []

    def reader(path: Path) -> str:
        seen.append(path)
        return ""

    load({"JIMENG_CONFIG": "etc/gateway.toml"}, reader)
    assert seen == [Path("etc/gateway.toml")]


def test_all_problems_are_told_at_once() -> None:
    found = problems(
        {
            "JIMENG_CONFIG": "x.toml",
            "JIMENG_PORT": "99999",
            "JIMENG_LEASE": "-1s",
            "JIMENG_PROT": "1",
            "JIMENG_LOG_FORMAT": "xml",
        },
        'hots = 1\nlease = true\nport = "x"',
    )
    assert found.keys() == {
        "JIMENG_PORT",
        "JIMENG_LEASE",
        "JIMENG_PROT",
        "JIMENG_LOG_FORMAT",
        "hots (in x.toml)",
        "lease (in x.toml)",
        "port (in x.toml)",
    }
    assert "did you mean JIMENG_PORT" in found["JIMENG_PROT"].problem
    assert "did you mean host" in found["hots (in x.toml)"].problem
    assert "negative" in found["JIMENG_LEASE"].problem
    assert found["JIMENG_LOG_FORMAT"].allowed == "`console` or `json`"


@pytest.mark.parametrize("name", ["jimeng_port", "Jimeng_Port", "JIMENG_", "JIMENG_HOSTNAME"])
def test_an_unknown_name_is_refused_in_any_case(name: str) -> None:
    assert "no such setting" in problems({name: "5100"})[name].problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "-1"),
        ("PORT", ""),
        ("PORT", "5100.0"),
        ("PORT", "0x10"),
        ("PORT", "٥"),
        ("HOST", "256.1.1.1"),
        ("HOST", "a b"),
        ("HOST", "localhost:80"),
        ("DATA_DIR", ""),
        ("LEASE", "nan"),
        ("LEASE", "inf"),
        ("LEASE", "1e3"),
        ("LEASE", "5 minutes"),
        ("LEASE", "2h"),
        ("SESSION_SLOTS", "0"),
        ("LOG_LEVEL", "trace"),
        ("JSON_OUTPUT", "si"),
        ("UPSTREAM_URL", "example.com"),
        ("UPSTREAM_URL", "ftp://example.com"),
        ("UPSTREAM_URL", "https://example.com/path"),
        ("UPSTREAM_URL", "https://example.com?x=1"),
        ("UPSTREAM_URL", "https://example.com:x"),
        ("UPSTREAM_URL", "https://"),
        ("PUBLIC_URL", "https://example.com/#top"),
        ("DATABASE_URL", "mysql://x/y"),
        ("DATABASE_URL", "sqlite://data.db"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("DATABASE_URL", "postgresql://[::1"),
        ("DATABASE_URL", "postgresql://me:100%pure@host/db"),
        ("DATABASE_URL", "postgresql://me:p@ss@host/db"),
        ("DATABASE_URL", "postgresql://me:12/34@host/db"),
        ("DATABASE_URL", "postgresql://me:12?34@host/db"),
        ("DATABASE_URL", "postgresql://me:12#34@host/db"),
        ("POLL_VIDEO_EVERY", "60s"),
    ],
)
def test_an_impossible_value_is_refused_with_the_allowed_form(name: str, value: str) -> None:
    found = problems({f"JIMENG_{name}": value})
    assert found.keys() == {f"JIMENG_{name}"}
    assert found[f"JIMENG_{name}"].allowed


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PORT", "0", 0),
        ("PORT", " 80 ", 80),
        ("HOST", "::", "::"),
        ("HOST", "gateway.internal", "gateway.internal"),
        ("DATA_DIR", "/var/lib/gateway", Path("/var/lib/gateway")),
        ("LEASE", "90", 90.0),
        ("LEASE", "1500ms", 1.5),
        ("VIDEO_DEADLINE", "2d", 172_800.0),
        ("IMAGE_DEADLINE", "1.5h", 5400.0),
        ("LOG_FORMAT", "JSON", "json"),
        ("UPSTREAM_URL", "http://127.0.0.1:8900/", "http://127.0.0.1:8900"),
        ("PUBLIC_URL", "https://example.com/images/", "https://example.com/images"),
        ("DATABASE_URL", "sqlite:////var/lib/g.db", "sqlite:////var/lib/g.db"),
        ("DATABASE_URL", "postgresql:///gateway?host=/run", "postgresql:///gateway?host=/run"),
        ("ADMIN_TOKEN", "0123456789abcdef", "0123456789abcdef"),
    ],
)
def test_a_possible_value_is_taken(name: str, value: str, expected: object) -> None:
    settings = load({f"JIMENG_{name}": value}, no_file)
    assert getattr(settings, name.lower()) == expected


@pytest.mark.parametrize("word", ["TRUE", "True", "1", "yes", "YES", "on"])
def test_every_word_for_yes_means_yes(word: str) -> None:
    assert load({"JIMENG_JSON_OUTPUT": word}, no_file).json_output is True


@pytest.mark.parametrize("word", ["FALSE", "0", "no", "Off"])
def test_every_word_for_no_means_no(word: str) -> None:
    assert load({"JIMENG_JSON_OUTPUT": word}, no_file).json_output is False


@pytest.mark.parametrize("word", ["", "y", "2", "truthy", "enabled"])
def test_any_other_word_is_not_silently_no(word: str) -> None:
    with pytest.raises(RefusedError):
        BOOLEAN.read(word)


def test_toml_types_are_not_bent() -> None:
    found = problems({"JIMENG_CONFIG": "x"}, "port = true\nhost = 1\nlog_level = ['info']\n[lease]\na = 1")
    assert found.keys() == {"port (in x)", "host (in x)", "log_level (in x)", "lease (in x)"}


def test_no_message_repeats_a_secret() -> None:
    environ = {
        "JIMENG_ADMIN_TOKEN": "hunter2",
        "JIMENG_SECRET_KEY": "hunter2",
        "JIMENG_GATEWAY_KEY": "hunter2 and more of it",
        "JIMENG_DATABASE_URL": "mysql://me:hunter2@host/db",
        "JIMENG_UPSTREAM_URL": "http://me:hunter2@host",
    }
    found = problems(environ)
    assert found.keys() == environ.keys()
    assert "hunter2" not in "".join(str(problem) for problem in found.values())


def test_the_repr_shows_no_secret() -> None:
    secret = "s3cr3t-" * 8
    names = [spec for spec in SPECS if spec.secret]
    settings = load(
        {
            spec.variable: f"postgresql://u:{secret}@h/d" if spec.name == "database_url" else secret
            for spec in names
        },
        no_file,
    )
    assert "s3cr3t" not in repr(settings)
    assert len(names) == 6
    assert "port=5100" in repr(settings)


def test_a_file_that_cannot_be_used_says_why() -> None:
    with pytest.raises(SettingsError, match=r"gone\.toml cannot be read: No such file"):
        load({"JIMENG_CONFIG": "gone.toml"}, no_file)
    assert "is not TOML" in problems({"JIMENG_CONFIG": "x"}, "port = = 1")["JIMENG_CONFIG"].problem


def test_kubernetes_service_links_are_explained() -> None:
    found = problems({"JIMENG_GATEWAY_SERVICE_HOST": "10.0.0.1", "JIMENG_PORT": "tcp://10.0.0.1:5100"})
    assert all("enableServiceLinks" in problem.problem for problem in found.values())
    assert len(found) == 2


@pytest.mark.parametrize("seconds", [0.1, 1, 45, 60, 90, 3600, 5400, 86_400, 172_800, 604_800])
def test_a_spelled_duration_reads_back(seconds: float) -> None:
    assert duration(0).read(spell(seconds)) == pytest.approx(seconds)


def test_the_reference_page_is_current() -> None:
    render = runpy.run_path(str(ROOT / "scripts" / "settings_page.py"))["page"]
    written = (ROOT / "docs" / "settings.md").read_text()
    assert render() == written, "run `make docs`"
    assert all(f"`{spec.variable}`" in written for spec in SPECS)
