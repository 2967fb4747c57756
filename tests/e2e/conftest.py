"""Helpers that assert are rewritten as tests are, so that a failure says what it saw."""

import pytest

pytest.register_assert_rewrite("ledger", "support.process")
