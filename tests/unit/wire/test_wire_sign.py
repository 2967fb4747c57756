"""The sign, against the table of jimeng-web.md 2.4 and a header that was captured in the wild."""

from __future__ import annotations

import pytest

from jimeng_gateway.upstream.wire.sign import sign, sign_text

TABLE = [
    ("/mweb/v1/aigc_draft/generate", 1767225600, "050615d4bfc9047fbab2a4393676b3db"),
    ("/mweb/v1/get_history_by_ids", 1767225600, "3b5cfd6fb9927965b97c9abcc4cec558"),
    ("/mweb/v1/get_upload_token", 1767225600, "e9367e934d9c365cb4a1aeb93600aa0b"),
    ("/mweb/v1/get_local_item_list", 1767225600, "428cc369e36ed3fcdb72a0f33c0116cd"),
    ("/commerce/v1/benefits/user_credit", 1767225600, "ba5c5e8a03c9a11f3c7ffda27ec80565"),
    ("/commerce/v1/benefits/credit_receive", 1767225600, "376ae03d335ea079200bbec571187a5a"),
    ("/commerce/v1/benefits/user_credit_history", 1767225600, "6a3b3ab1792609633692040cab8df557"),
    ("/mweb/v1/get_asset_list", 1770799188, "99f53a201a714800b940d336ec506155"),
]


@pytest.mark.parametrize(("path", "second", "expected"), TABLE)
def test_the_table_of_the_reference(path: str, second: int, expected: str) -> None:
    assert sign(path, pf="7", appvr="8.4.0", unix_seconds=second) == expected


def test_the_version_enters_the_sign() -> None:
    old = sign("/mweb/v1/aigc_draft/generate", pf="7", appvr="5.8.0", unix_seconds=1767225600)
    assert old == "3c82dda9a236d5cb3671cfa32a5de91e"


def test_the_text_that_is_hashed() -> None:
    text = sign_text("/mweb/v1/aigc_draft/generate", pf="7", appvr="8.4.0", unix_seconds=1767225600)
    assert text == "9e2c|enerate|7|8.4.0|1767225600||11ac"
