"""Sealed texts open only with their key and in their row; the key file is made once and kept private."""

from __future__ import annotations

import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jimeng_gateway.domain.errors import GatewayError
from jimeng_gateway.secrets import SecretError, Vault, digest, load_or_create_key, new_api_key

KEY = b"k" * 32
OTHER = b"o" * 32
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(text=TEXTS, row=TEXTS)
def test_what_was_sealed_opens_again(text: str, row: str) -> None:
    vault = Vault(KEY)
    assert vault.open(vault.seal(text, row=row), row=row) == text


def test_a_sealed_text_shows_nothing_and_is_never_the_same_twice() -> None:
    vault = Vault(KEY)
    first, second = vault.seal("sessionid=abc", row="s1"), vault.seal("sessionid=abc", row="s1")
    assert first != second
    assert re.fullmatch(rf"v1\.{vault.key_id}\.[A-Za-z0-9+/]+=*", first)


def test_it_opens_only_in_its_own_row() -> None:
    vault = Vault(KEY)
    with pytest.raises(SecretError, match="another row"):
        vault.open(vault.seal("x", row="s1"), row="s2")


def test_the_wrong_key_is_named() -> None:
    sealed = Vault(KEY).seal("x", row="s1")
    with pytest.raises(SecretError) as caught:
        Vault(OTHER).open(sealed, row="s1")
    assert Vault(KEY).key_id in caught.value.message
    assert Vault(OTHER).key_id in caught.value.message
    assert isinstance(caught.value, GatewayError)


def test_no_changed_byte_goes_unseen() -> None:
    vault = Vault(KEY)
    sealed = vault.seal("sessionid=abcd", row="s1")
    assert not sealed.endswith("="), "a padded last character would have bits that mean nothing"
    start = sealed.rindex(".") + 1
    for position in range(start, len(sealed)):
        other = "A" if sealed[position] != "A" else "B"
        with pytest.raises(SecretError):
            vault.open(sealed[:position] + other + sealed[position + 1 :], row="s1")


@pytest.mark.parametrize(
    "sealed", ["", "v1", "v2.aa.bb", "plain text", f"v1.{Vault(KEY).key_id}.!!", f"v1.{Vault(KEY).key_id}."]
)
def test_anything_else_is_refused_as_our_own_error(sealed: str) -> None:
    with pytest.raises(SecretError):
        Vault(KEY).open(sealed, row="s1")


def test_fingerprints_and_signatures_depend_on_text_key_and_purpose() -> None:
    vault = Vault(KEY)
    assert vault.fingerprint("a") == Vault(KEY).fingerprint("a")
    assert vault.fingerprint("a") != vault.fingerprint("b")
    assert vault.fingerprint("a") != Vault(OTHER).fingerprint("a")
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", vault.sign("task_1/0"))
    assert vault.signed("task_1/0", vault.sign("task_1/0"))
    assert not vault.signed("task_1/1", vault.sign("task_1/0"))
    assert not vault.signed("task_1/0", Vault(OTHER).sign("task_1/0"))
    assert not vault.signed("task_1/0", "é")


def test_the_repr_and_a_short_key_tell_no_secret() -> None:
    assert "kkk" not in repr(Vault(KEY))
    with pytest.raises(SecretError) as caught:
        Vault(b"hunter2")
    assert "hunter2" not in str(caught.value)


def test_the_first_start_makes_a_private_key_file(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "data"
    key = load_or_create_key(data, "")
    path = data / "secret.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().strip() == key
    assert load_or_create_key(data, "") == key
    assert [each.name for each in data.iterdir()] == ["secret.key"]


def test_a_loose_umask_does_not_open_the_file(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        load_or_create_key(tmp_path / "data", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "data" / "secret.key").stat().st_mode) == 0o600


def test_many_starts_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        keys = list(pool.map(lambda _: load_or_create_key(tmp_path, ""), range(64)))
    assert len(set(keys)) == 1


def test_a_file_that_others_may_read_is_refused_with_the_cure(tmp_path: Path) -> None:
    load_or_create_key(tmp_path, "")
    path = tmp_path / "secret.key"
    path.chmod(0o640)
    with pytest.raises(SecretError, match=f"chmod 600 {re.escape(str(path))}"):
        load_or_create_key(tmp_path, "")


def test_a_damaged_or_impossible_file_is_our_own_error(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.touch(mode=0o600)
    with pytest.raises(SecretError, match="damaged"):
        load_or_create_key(tmp_path, "")
    with pytest.raises(SecretError, match="cannot be used"):
        load_or_create_key(path, "")


def test_the_setting_stands_over_the_file(tmp_path: Path) -> None:
    assert load_or_create_key(tmp_path, "s" * 40) == b"s" * 40
    assert list(tmp_path.iterdir()) == []


def test_the_content_of_the_file_may_be_moved_into_the_setting(tmp_path: Path) -> None:
    key = load_or_create_key(tmp_path, "")
    text = (tmp_path / "secret.key").read_text().strip()
    assert load_or_create_key(tmp_path / "elsewhere", text) == key


def test_api_keys_and_their_digests() -> None:
    assert re.fullmatch(r"gw_[0-9a-f]{32}", new_api_key())
    assert new_api_key() != new_api_key()
    assert digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
