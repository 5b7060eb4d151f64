"""Points in time as resources show them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(seconds: float) -> str:
    """A FHIR ``instant`` in UTC with six decimals, ``"2025-11-24T16:00:00.123000Z"``.

    :param seconds: since the epoch.
    """
    moment = _EPOCH + timedelta(microseconds=round(seconds * 1_000_000))
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
