"""Where a browser lives while it runs, and as whom: a fresh directory that is surely removed in the end.

Chromium confines its processes for any user but root. So a gateway that runs as root starts it as somebody
who may do nothing, in a directory among the temporary files, because the data directory is root's alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jimeng_gateway.browser.errors import Unusable
from jimeng_gateway.browser.options import SignerOptions

PREFIX = "jimeng-profile-"
UNCONFINED = "set JIMENG_CHROMIUM_SANDBOX=off"

#: What Chromium needs to know of our surroundings. Secrets have many names, so these are named instead.
_KEPT = frozenset({"PATH", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH"})
_KEPT_BEGIN = ("LC_", "FONTCONFIG_", "CHROMIUM_", "CHROME_")


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Home:
    """The directory in which profiles are made, and whose they are: None means our own."""

    folder: Path
    account: Account | None = None

    @property
    def uid(self) -> int:
        """Owner of the profiles."""
        return os.geteuid() if self.account is None else self.account.uid


def account(options: SignerOptions, euid: int) -> Account | None:
    """As whom a gateway of this user starts Chromium; None: as itself. Unusable if there is nobody."""
    if euid != 0 or not options.sandbox:
        return None
    try:
        found = pwd.getpwnam(options.user)
    except KeyError:
        reason = f"for root Chromium is run as the user {options.user}, who does not exist here"
        raise Unusable(f"{reason}; name another in JIMENG_CHROMIUM_USER, or {UNCONFINED}") from None
    if found.pw_uid == 0:
        reason = f"JIMENG_CHROMIUM_USER names {options.user}, who is root"
        raise Unusable(f"{reason}: Chromium does not run as root with its sandbox; name another")
    return Account(found.pw_name, found.pw_uid, found.pw_gid)


def home(options: SignerOptions) -> Home:
    """Where the next profile belongs."""
    other = account(options, os.geteuid())
    if other is None:
        return Home(options.folder)
    return Home(options.shared_folder or Path(tempfile.gettempdir()), other)


def environment(profile: Path, environ: Mapping[str, str], other: Account | None = None) -> dict[str, str]:
    """What Chromium gets to see: none of our secrets, and no place to leave anything but its profile."""
    kept = {name: value for name, value in environ.items() if name in _KEPT or name.startswith(_KEPT_BEGIN)}
    places = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"), str(profile))
    if other is not None:
        return kept | places | {"TMPDIR": str(profile), "USER": other.name, "LOGNAME": other.name}
    # A path to a socket may not be long, so the one that Chromium makes stays out of the data directory.
    return kept | places | {"TMPDIR": tempfile.gettempdir()}


def make(options: SignerOptions, place: Home) -> tuple[Path, int]:
    """A new profile directory and the open descriptor that marks it as used; clears away what was left.

    The mark is a lock that every process inherits that is given the descriptor, so it ends with the last.
    """
    options.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(options.folder):
        _sweep(place)
        profile = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place.folder)).resolve()
        lock = os.open(profile, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        # Gateways with other data directories share the temporary files, but not the lock above: they leave
        # alone what is still ours.
        if place.account is not None:
            try:
                os.fchown(lock, place.account.uid, place.account.gid)
            except OSError:
                os.close(lock)
                profile.rmdir()
                raise
    return profile, lock


def sweep(options: SignerOptions) -> int:
    """Removes the profiles that no process uses any more; how many there were."""
    places = {Home(options.folder)}
    with contextlib.suppress(Unusable):
        places.add(home(options))
    if not options.folder.is_dir():
        return sum(_sweep(place) for place in places if place.account is not None)
    with _locked(options.folder):
        return sum(_sweep(place) for place in places)


def remove(profile: Path, *, ours: bool) -> None:
    """A profile, and the socket for which Chromium makes a directory of its own among the temporary files.

    Whose link is followed decides: what another user has written may not lead us anywhere.
    """
    if ours:
        with contextlib.suppress(OSError):
            beside = (profile / "SingletonSocket").readlink()
            if beside.name == "SingletonSocket" and ".Chrom" in beside.parent.name:
                shutil.rmtree(beside.parent, ignore_errors=True)
    shutil.rmtree(profile, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Two gateways may share a folder: neither may sweep while the other makes a profile."""
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _sweep(place: Home) -> int:
    removed = 0
    for profile in place.folder.glob(f"{PREFIX}*"):
        try:
            lock = os.open(profile, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            if os.fstat(lock).st_uid != place.uid:
                continue
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(profile, ours=place.account is None)
            removed += 1
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
    return removed
