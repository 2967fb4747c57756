"""The certificate authorities that Chromium has to be told of: those this machine trusts beyond Mozilla's.

The rest of the gateway trusts the system's store and SSL_CERT_FILE. Chromium heeds neither: it has its own
list, and beside it only a certificate database in its user's home. So what the others have and it has not
goes there before each start.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import ssl
import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jimeng_gateway.browser.process import become
from jimeng_gateway.browser.profile import Account

INSTALL = "install certutil (Debian, Ubuntu: apt install libnss3-tools)"
#: More than a whole bundle of a system that does not tell which are its own.
MOST = 400
#: Seconds for one call of certutil, which takes some ten milliseconds.
_PATIENCE_S = 10.0

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
#: The only names that OpenSSL looks at in a directory of certificates.
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")


@dataclass(frozen=True, slots=True)
class System:
    """Where a system keeps what it trusts."""

    #: All of it in one file.
    bundle: Path = Path("/etc/ssl/certs/ca-certificates.crt")
    #: Mozilla's share of it, one file each; without it the bundle does not tell which are the operator's own.
    mozilla: Path = Path("/usr/share/ca-certificates/mozilla")
    #: Where operators put their own, one file each.
    local: tuple[Path, ...] = (
        Path("/usr/local/share/ca-certificates"),
        Path("/etc/pki/ca-trust/source/anchors"),
        Path("/etc/ca-certificates/trust-source/anchors"),
    )


def certificates(text: str) -> list[bytes]:
    """The certificates of a PEM file, as DER; what is none is left out."""
    found = []
    for block in _BLOCK.findall(text):
        try:
            found.append(ssl.PEM_cert_to_DER_cert(block))
        except ValueError:
            continue
    return found


def beyond(trusted: Iterable[bytes], known: Iterable[bytes]) -> tuple[bytes, ...]:
    """The trusted ones that are not known, each once; at most MOST, the last ones.

    Bundles end with what the operator has added.
    """
    prints = {_fingerprint(each) for each in known}
    fresh = {_fingerprint(each): each for each in trusted}
    return tuple(each for found, each in fresh.items() if found not in prints)[-MOST:]


def extras(environ: Mapping[str, str], system: System) -> tuple[bytes, ...]:
    """What Chromium has to be told of; reads files, those that cannot be read count as empty."""
    known = [each for path in _listed((system.mozilla,)) for each in certificates(_text(path))]
    trusted = [each for path in _sources(environ, system) for each in certificates(_text(path))]
    return beyond(trusted, known)


def lack(environ: Mapping[str, str], told: Collection[bytes]) -> str:
    """What has to be installed before Chromium can be told these, or ""."""
    if not told or _certutil(environ):
        return ""
    return (
        f"Chromium cannot be told of {len(told)} certificate authorities that this machine trusts; {INSTALL}"
    )


def tell(profile: Path, environ: Mapping[str, str], account: Account | None, told: Collection[bytes]) -> str:
    """Puts them into the database of a home; what to do about it if that fails, else "". Takes its time."""
    program = _certutil(environ)
    if not told or program is None:
        return lack(environ, told)
    certutil = (program, "-d", "sql:.pki/nssdb")

    def run(*command: str, given: bytes = b"") -> None:
        subprocess.run(  # noqa: S603 - fixed arguments
            command,
            input=given,
            check=True,
            capture_output=True,
            cwd=profile,
            env=dict(environ),
            timeout=_PATIENCE_S,
            **become(account),
        )

    try:
        run("mkdir", "-p", "-m", "700", ".pki/nssdb")
        run(*certutil, "-N", "--empty-password")
    except (OSError, subprocess.SubprocessError) as error:
        return f"Chromium could not be told this machine's certificate authorities: {_said(error)}"
    failed = ""
    # C: may vouch for servers. P: a server's own certificate that OpenSSL would take from such a file, too.
    for number, each in enumerate(told):
        try:
            run(*certutil, "-A", "-t", "CP,,", "-n", f"jimeng-{number}", given=each)
        except subprocess.CalledProcessError as error:
            failed = f"Chromium could not be told a certificate authority of this machine: {_said(error)}"
        except (OSError, subprocess.SubprocessError) as error:
            return f"Chromium could not be told this machine's certificate authorities: {_said(error)}"
    return failed


def _certutil(environ: Mapping[str, str]) -> str | None:
    return shutil.which("certutil", path=environ.get("PATH"))


def _said(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        said: bytes = error.stderr
        return said.decode("utf-8", "replace").strip().replace("\n", " ")[:300]
    return str(error)


def _sources(environ: Mapping[str, str], system: System) -> Iterator[Path]:
    """As OpenSSL does it: each variable replaces one of the two places, and both hold the same by default."""
    file, folders = environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")
    if not (file and folders):
        yield from [system.bundle] if system.mozilla.is_dir() else _listed(system.local)
    for folder in (folders or "").split(":"):
        if folder:
            yield from (path for path in _listed((Path(folder),)) if _HASHED.fullmatch(path.name))
    if file:
        yield Path(file)


def _listed(folders: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for folder in folders:
        try:
            found.extend(sorted(folder.iterdir()))
        except OSError:
            continue
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return ""


def _fingerprint(certificate: bytes) -> bytes:
    return hashlib.sha256(certificate).digest()
