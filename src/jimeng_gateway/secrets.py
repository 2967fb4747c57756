"""Everything that must stay secret: the key file, encrypted credentials, API keys and signatures.

One master key gives independent subkeys (HKDF) for encrypting, fingerprints and links, so that none of them
says anything about another. Callers hand in texts and get texts; nothing here logs or prints.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from jimeng_gateway.domain.errors import GatewayError

KEY_FILE = "secret.key"
SHORTEST_KEY = 32
_FORMAT = "v1"
_NONCE = 12


class SecretError(GatewayError):
    """The key file cannot be used, or something was sealed with another key or for another row."""

    code = "secret_error"


class Vault:
    """Seals and opens texts, and makes the keyed hashes. Thread-safe; its repr shows no secret."""

    def __init__(self, key: bytes) -> None:
        if len(key) < SHORTEST_KEY:
            raise SecretError(f"the secret key is too short: at least {SHORTEST_KEY} bytes are needed")
        self._cipher = AESGCM(_subkey(key, "seal"))
        self._fingerprint_key = _subkey(key, "fingerprint")
        self._link_key = _subkey(key, "link")
        #: Names the key without telling anything about it; stands before every sealed text.
        self.key_id = _subkey(key, "key id")[:4].hex()

    def __repr__(self) -> str:
        return f"Vault({self.key_id})"

    def seal(self, text: str, *, row: str) -> str:
        """`v1.<key id>.<base64 of nonce and ciphertext>`; opens only for the same `row`."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = self._cipher.encrypt(nonce, text.encode(), self._bound_to(row))
        return f"{_FORMAT}.{self.key_id}.{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, *, row: str) -> str:
        """The text; SecretError if the key is another one, or the row, or if a bit was changed."""
        version, _, rest = sealed.partition(".")
        key_id, _, body = rest.partition(".")
        if version != _FORMAT:
            raise SecretError("a stored secret has a format that this version does not know")
        if key_id != self.key_id:
            raise SecretError(
                f"a stored secret was encrypted with key {key_id}, but the key in use is {self.key_id}: "
                f"bring back the old {KEY_FILE} (or JIMENG_SECRET_KEY), or enter the secret anew"
            )
        try:
            blob = base64.b64decode(body, validate=True)
            return self._cipher.decrypt(blob[:_NONCE], blob[_NONCE:], self._bound_to(row)).decode()
        except (InvalidTag, ValueError, binascii.Error):
            raise SecretError("a stored secret was altered, or belongs to another row") from None

    def fingerprint(self, text: str) -> str:
        """Tells whether two texts are equal without telling the text: 64 hex digits."""
        return hmac.new(self._fingerprint_key, text.encode(), hashlib.sha256).hexdigest()

    def sign(self, text: str) -> str:
        """A signature for links: 22 characters that need no quoting in a URL (128 bits)."""
        mac = hmac.new(self._link_key, text.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(mac[:16]).rstrip(b"=").decode()

    def signed(self, text: str, signature: str) -> bool:
        """Whether the signature is the one of this text; takes the same time either way."""
        return hmac.compare_digest(self.sign(text).encode(), signature.encode())

    def _bound_to(self, row: str) -> bytes:
        return f"{_FORMAT}.{self.key_id}.{row}".encode()


def _subkey(key: bytes, purpose: str) -> bytes:
    info = f"jimeng-gateway {purpose}".encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(key)


def load_or_create_key(data_dir: Path, secret_key_setting: str) -> bytes:
    """The master key: the setting if there is one, else the key file, which the first start makes.

    A file that others may read is refused with the command that mends it. Two processes that start at once
    end up with the same key.
    """
    if secret_key_setting:
        return secret_key_setting.encode()
    path = data_dir / KEY_FILE
    try:
        if not path.exists():
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            _create_key_file(path)
        return _read_key_file(path)
    except OSError as error:
        raise SecretError(f"the key file {path} cannot be used: {error.strerror or error}") from error


def _create_key_file(path: Path) -> None:
    """Puts a complete file in place, or leaves the one that another process was quicker to put there."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink(missing_ok=True)


def _read_key_file(path: Path) -> bytes:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise SecretError(
            f"the key file {path} may be read by others (mode {mode:04o}): run `chmod 600 {path}`, "
            "and if somebody may have read it, move it away and enter the sessions anew"
        )
    key = path.read_bytes().strip()
    if len(key) < SHORTEST_KEY:
        raise SecretError(
            f"the key file {path} is damaged: {len(key)} bytes instead of {SHORTEST_KEY} or more"
        )
    return key


def new_api_key() -> str:
    """A new API key: `gw_` and 32 hex characters (128 bits of chance)."""
    return "gw_" + secrets.token_hex(16)


def digest(token: str) -> str:
    """What is stored of a token and looked up: its SHA-256 in hex. Random tokens need no salt."""
    return hashlib.sha256(token.encode()).hexdigest()
