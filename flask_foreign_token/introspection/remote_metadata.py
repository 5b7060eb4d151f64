"""What providers publish about themselves, found while requests are served."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from weakref import WeakValueDictionary

from ..errors import ProviderUnavailable, Rejected
from ..http import Http
from ..printable import in_ascii
from ..shared_cache import ALONE, Sharing
from .addresses import origin_of
from .background import Begin, in_background
from .discovery import NoMetadata, ServerMetadata, discover, reread
from .kept_document import DocumentState, Fetched
from .remote_document import RemoteDocument
from .shared_document import SharedDocument

METADATA_TTL = 3600
"""Seconds of the life of a provider's metadata, unless its answer says less."""

log = logging.getLogger(__name__)


class RemoteMetadata:
    """What the provider of one issuer publishes about itself: fetched once, and renewed as keys are.

    Making one asks nobody and begins nothing. Belongs to the process that made it.

    :param issuer: where it is asked, and what it must name.
    :param origins: where its endpoints may be, beside the issuer's own origin: those of the addresses that resources
        give, ``""`` for what is no address. What is published leads nowhere else.
    :param grace: seconds for which it serves after its life, while the provider cannot be reached.
    :param sharing: where workers leave metadata for each other.
    :param clock: seconds since the epoch.
    :param begin: begins a renewal in the background.
    :param jitter: see :class:`.RemoteDocument`.
    :param sleep: see :class:`.SharedDocument`.
    """

    def __init__(
        self,
        http: Http,
        issuer: str,
        *,
        origins: frozenset[str],
        grace: float,
        sharing: Sharing = ALONE,
        clock: Callable[[], float] = time.time,
        begin: Begin = in_background,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.issuer = issuer
        self.origins = (origins | {origin_of(issuer)}) - {""}
        self._http = http
        self._metadata = RemoteDocument(
            "the metadata",
            self._fetch,
            shared=SharedDocument(
                sharing,
                "metadata",
                name=lambda: issuer,
                read=self._read,
                ttl=METADATA_TTL,
                grace=grace,
                clock=clock,
                sleep=sleep,
            ),
            ttl=METADATA_TTL,
            grace=grace,
            clock=clock,
            begin=begin,
            jitter=jitter,
        )
        # What the log was told last, of the metadata and of each member.
        self._told: dict[str, str] = {}

    @property
    def state(self) -> DocumentState[ServerMetadata]:
        """How things stand at this moment."""
        return self._metadata.state

    def known(self, member: str) -> str | None:
        """The address of an endpoint, as far as it is known without asking; none as well where it must not be called.

        :param member: of the metadata, ``"jwks_uri"``.
        """
        metadata = self._metadata.known
        address = metadata.text(member) if metadata else None
        return address if address and origin_of(address) in self.origins else None

    def endpoint(self, member: str) -> str:
        """The address of an endpoint.

        :param member: of the metadata, ``"jwks_uri"``.
        :raises ProviderUnavailable: the metadata cannot be had or must not be used, do not name it, or name an address
            at an origin that no resource names.
        """
        metadata = self._metadata.current()
        address = metadata.text(member)
        if address and origin_of(address) in self.origins:
            self._told.pop(member, None)
            return address
        reason = self._reason_against(metadata, member, address)
        self._tell(member, reason)
        raise ProviderUnavailable(hint=reason)

    def _reason_against(self, metadata: ServerMetadata, member: str, address: str | None) -> str:
        place = in_ascii(metadata.address)
        if not address:
            return f"{place}: names no {member}; store it in the resource"
        return (
            f"{place}: names {in_ascii(address)} as {member}, at an origin that no resource names; "
            "if it is right, store it in the resource"
        )

    def _fetch(self, _known: ServerMetadata | None) -> Fetched[ServerMetadata]:
        try:
            with self._http.fetching("metadata") as fetch:
                metadata = discover(self._http, self.issuer)
                fetch.is_good = True
        except NoMetadata as missing:
            reason = f"{missing.hint}; the endpoints must be stored in the resource"
        except ProviderUnavailable:
            # The log was told of the exchange.
            self._told.pop("", None)
            raise
        except Rejected as rejected:
            reason = "; ".join(map(str, rejected.issues))
        else:
            self._told.pop("", None)
            return Fetched(metadata, metadata.headers, metadata.value)
        self._tell("", reason)
        raise ProviderUnavailable(hint=reason)

    def _read(self, value: object, _known: ServerMetadata | None) -> ServerMetadata:
        try:
            return reread(self._http, self.issuer, value)
        except Rejected as rejected:
            raise ProviderUnavailable(hint=str(rejected)) from None

    def _tell(self, subject: str, reason: str) -> None:
        """Tell the log, unless it was the last that it was told of `subject`."""
        if self._told.get(subject) != reason:
            self._told[subject] = reason
            log.warning("%s", reason)


class MetadataDirectory:
    """One :class:`RemoteMetadata` for each way of asking, for as long as somebody uses it.

    :param grace: see :class:`RemoteMetadata`.
    :param sharing: see :class:`RemoteMetadata`.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self, http: Http, *, grace: float, sharing: Sharing = ALONE, clock: Callable[[], float] = time.time
    ) -> None:
        self._http = http
        self._grace = grace
        self._sharing = sharing
        self._clock = clock
        self._lock = threading.Lock()
        self._sources: WeakValueDictionary[tuple[str, frozenset[str]], RemoteMetadata] = WeakValueDictionary()

    def of(self, issuer: str, origins: frozenset[str]) -> RemoteMetadata:
        """What the provider of `issuer` publishes, to be called at `origins`; see :class:`RemoteMetadata`."""
        metadata = RemoteMetadata(
            self._http, issuer, origins=origins, grace=self._grace, sharing=self._sharing, clock=self._clock
        )
        with self._lock:
            return self._sources.setdefault((issuer, metadata.origins), metadata)
