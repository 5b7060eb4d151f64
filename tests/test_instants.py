from __future__ import annotations

import pytest

from flask_foreign_token.instants import instant


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_764_000_000, "2025-11-24T16:00:00.000000Z"),
        (1_764_000_000.123, "2025-11-24T16:00:00.123000Z"),
        (-0.5, "1969-12-31T23:59:59.500000Z"),
    ],
)
def test_an_instant_is_in_utc_with_six_decimals(seconds: float, text: str) -> None:
    assert instant(seconds) == text
