"""Whether there are keys that serve."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from ..errors import ProviderUnavailable
from ..http import Http
from ..introspection.endpoints import DiscoveredEndpoint
from ..introspection.jwt import JwtIntrospector, permitted
from ..introspection.key_set import SkippedKey
from ..introspection.keys import VerificationKey
from ..introspection.remote_keys import KeySourceState, RemoteKeys
from ..printable import shown
from ..registry.links import Linked
from . import remedies
from .clock import ClockCheck
from .discovered import Failures, Location
from .findings import Finding

_ANY = "RS256"
# An algorithm of keys that are fetched, so that they are.
_NAMED = 8
# Keys of either sort that are named.


def check_keys(http: Http, link: Linked, clock: ClockCheck, failures: Failures) -> Iterator[Finding]:
    """Have the introspector fetch its keys, as a token would, and look at what it has then.

    :param link: of an introspector for JWTs.
    :param clock: is told the provider's time, unless it knows that.
    """
    name = link.settings.name
    introspector = link.introspector
    if not isinstance(introspector, JwtIntrospector):
        return
    keys = introspector.keys
    if link.source is None or not isinstance(keys, RemoteKeys):
        yield Finding("keys", "ok", f"{name}: they stand in the registry, and none are fetched")
        return
    location = Location.for_link(link.source.endpoint, link)
    try:
        keys.find(None, _ANY)
    except ProviderUnavailable as unavailable:
        yield failures.of("keys", name, location, unavailable, remedies.KEYS)
        return
    state = keys.state
    yield _serving(name, state, permitted(introspector.rules.algorithms))
    yield _by_id(name, location, state)
    yield from failures.of_another_path("keys: address", name, location)
    if state.jwks_uri is not None:
        clock.ask(http, state.jwks_uri)


def _serving(name: str, state: KeySourceState, algorithms: frozenset[str]) -> Finding:
    serving = [key.algorithm for key in state.keys if key.algorithm in algorithms]
    idle = len(state.keys) - len(serving)
    # The reasons stand beside each key's id where others serve.
    left_out = [] if serving else _reasons(state.skipped)
    if idle:
        left_out.append(f"{idle}: jwt.algorithms does not name what it serves")
    found = f"{name}: {len(serving)} of {len(state.keys) + len(state.skipped)} keys serve" + (
        f" ({', '.join(sorted(set(serving)))})" if serving else ""
    )
    if left_out:
        found += f"; left out {', '.join(left_out)}"
    if not serving:
        return Finding("keys", "failed", found, remedies.ALGORITHMS if idle else remedies.KEYS)
    if state.last_error is not None:
        reason = f"{found}; they are kept, though they could not be fetched anew: {state.last_error}"
        return Finding("keys", "warning", reason, remedies.KEYS)
    return Finding("keys", "ok", found)


def _by_id(name: str, location: Location, state: KeySourceState) -> Finding:
    """Each key by what a token's header says of it, and how old all of them are."""
    keys = _some([_identified(key) for key in state.keys])
    skipped = _some([f"{_key_id(key.key_id)} ({key.reason})" for key in state.skipped])
    found = f"{name}: {keys or 'none'}" + (f"; left out {skipped}" if skipped else "")
    if isinstance(location.endpoint, DiscoveredEndpoint):
        found += f"; of {location.shown}"
    return Finding("keys: by id", "ok", f"{found}; {_age(state)}")


def _age(state: KeySourceState) -> str:
    now = time.time()
    age, ahead = now - (state.fetched_at or now), (state.refresh_at or now) - now
    return f"age {max(age, 0):.0f} s, next refresh in {max(ahead, 0):.0f} s"


def _identified(key: VerificationKey) -> str:
    return f"{key.algorithm} {_key_id(key.key_id)}"


def _key_id(key_id: str | None) -> str:
    return "without kid" if key_id is None else shown(key_id)


def _some(keys: Sequence[str]) -> str:
    more = [f"{len(keys) - _NAMED} more"] if len(keys) > _NAMED else []
    return ", ".join([*keys[:_NAMED], *more])


def _reasons(skipped: Sequence[SkippedKey]) -> list[str]:
    reasons = [key.reason for key in skipped]
    return [f"{reasons.count(reason)}: {reason}" for reason in dict.fromkeys(reasons)]
