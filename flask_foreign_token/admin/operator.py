"""The operator's sign-in: HTTP Basic (:rfc:`7617`), and what becomes of those who guess."""

from __future__ import annotations

import base64
import hmac
import ipaddress
import math
import threading
import time
from collections.abc import Callable
from typing import Final

from ..caching import Cache
from .refusals import OperatorRequired, TooManyAttempts

MAX_FAILURES: Final = 5
"""Wrong passwords that an address may send within :data:`PERIOD`."""
PERIOD: Final = 60.0
"""Seconds."""

_ADDRESSES: Final = 10_000
_UNSET: Final = "nobody is the operator; FOREIGN_TOKEN_ADMIN_CLIENT_ID and FOREIGN_TOKEN_ADMIN_CLIENT_SECRET say who is"
_NETWORK: Final = 64
# Bits: whoever has one IPv6 address has all that share these.


class Operator:
    """Knows the operator by name and password.

    Failures are counted by the address that they came from, in this process and no other: with four workers, four
    times as many get a look. A thousand guesses a minute find no secret of 16 bytes; the limit keeps the log short.
    Behind a proxy everybody comes from one address, and anybody can lock the operator out, unless the app uses
    werkzeug's ``ProxyFix``.

    :param client_id: none: nobody signs in.
    :param client_secret: goes with `client_id`.
    :param clock: the time in seconds.
    """

    def __init__(
        self, client_id: str | None, client_secret: str | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._is_set = client_id is not None and client_secret is not None
        self._client_id = (client_id or "").encode()
        self._client_secret = (client_secret or "").encode()
        self._clock = clock
        self._failures: Cache[tuple[float, ...]] = Cache(_ADDRESSES, clock)
        self._one_at_a_time = threading.Lock()

    def sign_in(self, credentials: str, address: str | None) -> None:
        """Return when `credentials` are the operator's.

        :param credentials: what follows the scheme in the header, as WSGI hands it on.
        :param address: where the request came from; those without one count as one.
        :raises TooManyAttempts: `address` sent five wrong ones within a minute; these were not looked at.
        :raises OperatorRequired: they are not the operator's.
        """
        place = _network(address)
        # Looking and counting are one step, or a hundred requests at once would be a hundred guesses.
        with self._one_at_a_time:
            now = self._clock()
            recent = tuple(time_ for time_ in self._failures.get(place) or () if time_ > now - PERIOD)
            if len(recent) >= MAX_FAILURES:
                raise TooManyAttempts(max(1, math.ceil(recent[0] + PERIOD - now)))
            if self._knows(credentials):
                return
            self._failures.put(place, (*recent, now), now + PERIOD)
        raise OperatorRequired("the operator's name or password is wrong", hint=None if self._is_set else _UNSET)

    def _knows(self, credentials: str) -> bool:
        client_id, secret = _halves(credentials)
        # Both are compared, whatever the first comparison says: how long it takes is not to tell which one is wrong.
        right_id = hmac.compare_digest(client_id, self._client_id)
        right_secret = hmac.compare_digest(secret, self._client_secret)
        return self._is_set & right_id & right_secret


def _halves(credentials: str) -> tuple[bytes, bytes]:
    """Name and password, as bytes; two empty ones when `credentials` hold no such thing."""
    try:
        decoded = base64.b64decode(credentials.strip(), validate=True)
    except ValueError:
        return b"", b""
    client_id, _colon, secret = decoded.partition(b":")
    return client_id, secret


def _network(address: str | None) -> str:
    """What one caller cannot easily change about `address`; whatever is no address counts as one place."""
    try:
        parsed = ipaddress.ip_address(_without_port(address or "").partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _NETWORK), strict=False))


def _without_port(address: str) -> str:
    """Some proxies write the port behind the address: ``192.0.2.1:50000``, ``[2001:db8::1]:50000``."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address
