"""Which authorities Chromium has to be told of, and that it is told of those and no others."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
import tls
from cryptography import x509

from jimeng_gateway.browser import trust
from jimeng_gateway.browser.trust import System

#: They share authorities, which take their time to make.
pytestmark = pytest.mark.xdist_group("trust")


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three authorities."""
    return [tls.issued(tmp_path_factory.mktemp("ca")).authority.read_text() for _ in range(3)]


def der(pem: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem)


def debian(folder: Path, pems: list[str]) -> System:
    """Mozilla's first one in the bundle, and the operator's second one."""
    mozilla = folder / "mozilla"
    mozilla.mkdir()
    (mozilla / "first.crt").write_text(pems[0])
    bundle = folder / "bundle.crt"
    bundle.write_text(pems[0] + pems[1])
    return System(bundle, mozilla, ())


def test_certificates_are_found_among_other_text(pems: list[str]) -> None:
    broken = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"
    key = "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n"
    text = f"# a comment\n{pems[0]}{broken}{key}{pems[1]}"
    assert trust.certificates(text) == [der(pems[0]), der(pems[1])]
    assert trust.certificates("") == []


def test_what_is_known_or_said_twice_is_left_out() -> None:
    assert trust.beyond([b"a", b"b", b"c", b"b"], [b"c", b"d"]) == (b"a", b"b")
    many = [str(number).encode() for number in range(trust.MOST + 5)]
    assert trust.beyond(many, []) == tuple(many[5:])


def test_the_operators_own_are_told(tmp_path: Path, pems: list[str]) -> None:
    assert trust.extras({}, debian(tmp_path, pems)) == (der(pems[1]),)


def test_a_file_is_added_to_the_system_and_both_variables_replace_it(tmp_path: Path, pems: list[str]) -> None:
    """As OpenSSL does it for the rest of the gateway."""
    system = debian(tmp_path, pems)
    file, folder = tmp_path / "own.crt", tmp_path / "certs"
    file.write_text(pems[2])
    folder.mkdir()
    (folder / "0123abcd.0").write_text(pems[0])
    (folder / "unhashed.crt").write_text(pems[1])
    assert trust.extras({"SSL_CERT_FILE": str(file)}, system) == (der(pems[1]), der(pems[2]))
    both = {"SSL_CERT_FILE": str(file), "SSL_CERT_DIR": f"{folder}:{tmp_path / 'absent'}"}
    assert trust.extras(both, system) == (der(pems[2]),)
    (folder / "89abcdef.0").write_text(pems[1])
    assert trust.extras(both, system) == (der(pems[1]), der(pems[2]))


def test_without_mozillas_share_only_what_was_put_beside_the_bundle(tmp_path: Path, pems: list[str]) -> None:
    system = debian(tmp_path, pems)
    local = tmp_path / "local"
    local.mkdir()
    (local / "own.crt").write_text(pems[2])
    elsewhere = System(system.bundle, tmp_path / "absent", (local, tmp_path / "absent"))
    assert trust.extras({}, elsewhere) == (der(pems[2]),)
    named = {"SSL_CERT_FILE": str(system.bundle)}
    assert trust.extras(named, elsewhere) == (der(pems[2]), der(pems[0]), der(pems[1]))


def test_a_missing_certutil_is_named_only_if_it_is_needed(tmp_path: Path, pems: list[str]) -> None:
    nothing = {"PATH": str(tmp_path)}
    assert trust.lack(nothing, ()) == ""
    assert "apt install libnss3-tools" in trust.lack(nothing, [der(pems[0])])
    assert trust.tell(tmp_path, nothing, None, [der(pems[0])]) == trust.lack(nothing, [der(pems[0])])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("certutil") is None, reason="there is no certutil")
def test_the_database_holds_what_was_told(tmp_path: Path, pems: list[str]) -> None:
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    said = trust.tell(tmp_path, env, None, [der(pems[0]), b"no certificate", der(pems[1])])
    assert said.startswith("Chromium could not be told a certificate authority of this machine: certutil")
    database = f"sql:{tmp_path}/.pki/nssdb"
    for name, pem in (("jimeng-0", pems[0]), ("jimeng-2", pems[1])):
        command = ["certutil", "-d", database, "-L", "-a", "-n", name]
        kept = subprocess.run(command, check=True, capture_output=True).stdout
        assert x509.load_pem_x509_certificate(kept) == x509.load_pem_x509_certificate(pem.encode())
    other = tmp_path / "other"
    other.mkdir()
    assert trust.tell(other, env, None, ()) == ""
    assert list(other.iterdir()) == []
