"""Callers of all sorts, good ones and such as must never get in, who go on asking while servers fail."""

from __future__ import annotations

import http.client
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from joserfc.jwk import ECKey

from flask_foreign_token.testing import Issuer

from ..apps import Resource, bearer, policy, without
from .load import load
from .waiting import until

PAUSE = 0.01
"""Seconds between two requests of a thread: workers are to be busy, and not to queue for a processor."""
PATIENCE = 30
"""Seconds after which a request without an answer fails the test."""

BROKEN = 0
"""The status of a request whose connection broke off."""

DEACTIVATED = "deactivated"
"""The subject of a user who is not active; :func:`bad` takes it for granted."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request. Times are seconds of the monotonic clock.

    :param caller: who asked.
    :param number: which of its requests it was.
    :param pid: the process that answered; empty, where none did.
    :param subject: as whom the caller was let in; empty, where it was not.
    """

    caller: str
    number: int
    asked_at: float
    answered_at: float
    status: int
    pid: str
    subject: str


@dataclass(frozen=True, slots=True)
class Caller:
    """One sort of callers.

    :param bring: the token of the request of that number.
    """

    name: str
    bring: Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Answers:
    """What all callers were answered, in the order in which it came."""

    all: list[Answer] = field(default_factory=list)

    def of(self, callers: Sequence[Caller], since: float = 0.0) -> list[Answer]:
        """Those to `callers` which were asked for from some moment on."""
        names = {caller.name for caller in callers}
        return [answer for answer in list(self.all) if answer.asked_at >= since and answer.caller in names]

    def statuses(self, callers: Sequence[Caller], since: float = 0.0) -> set[int]:
        return {answer.status for answer in self.of(callers, since)}

    def until_each_worker(self, workers: int, caller: Caller, *, since: float, within: float = 30.0) -> float:
        """Wait until so many workers have let `caller` in; how many seconds after `since` the first of the last did."""

        def first_of_each() -> Mapping[str, float]:
            found: dict[str, float] = {}
            for answer in self.of([caller], since):
                if answer.status == 200:
                    found.setdefault(answer.pid, answer.answered_at)
            return found

        found = until(lambda found: len(found) >= workers, first_of_each, within=within)
        return max(found.values()) - since

    def until_somebody_else(self, seen: Collection[str], caller: Caller, *, within: float) -> None:
        """Wait until a process that is not among those `seen` has let `caller` in."""

        def others() -> set[str]:
            return {answer.pid for answer in self.of([caller]) if answer.status == 200}.difference(seen)

        until(bool, others, within=within)

    def impostors(self) -> list[Answer]:
        """Those by which somebody got in as somebody else."""
        return [a for a in self.all if a.status == 200 and a.subject not in ("ann", newcomer(a.number))]

    def until_more(self, number: int = 200) -> None:
        """Wait for so many further answers."""
        enough = len(self.all) + number
        until(lambda count: count >= enough, lambda: len(self.all), within=60)

    def table(self, phases: Mapping[str, float]) -> str:
        """How often each caller was answered what.

        :param phases: when each of them begins; it ends with the next.
        """
        ends = [*itertools.islice(phases.values(), 1, None), float("inf")]
        cells = [["", *phases]]
        for name in dict.fromkeys(sorted(answer.caller for answer in self.all)):
            mine = [answer for answer in self.all if answer.caller == name]
            spans = zip(phases.values(), ends, strict=True)
            counts = [Counter(a.status for a in mine if begin <= a.asked_at < end) for begin, end in spans]
            cells.append([name, *(", ".join(f"{n} x {status}" for status, n in sorted(c.items())) for c in counts)])
        return aligned(cells)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """A table for people."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def resources(issuer: Issuer, *, cache_ttl: int) -> list[Resource]:
    """`issuer` trusted for JWTs and asked about other tokens, with userinfo; whoever is a user gets in.

    Its keys are where it publishes them.

    :param cache_ttl: seconds for which keys and answers count.
    """
    described, signed = issuer.resources()
    asked = issuer.resources(kind="opaque")[1] | {"jwt": {}}
    return [
        {**described, "issuer": issuer.issuer},
        {**without(signed, "jwks_uri"), "cache_ttl": cache_ttl},
        {**asked, "cache_ttl": cache_ttl},
        policy("users", {"user": {"id": "present?"}}),
    ]


def jwt(issuer: Issuer, **claims: Any) -> str:
    return issuer.token(algorithm="ES256", **claims)


def good(issuer: Issuer) -> list[Caller]:
    """Those who are to be let in: with tokens that are known and new ones, as users who are known and new ones."""
    known, known_opaque = jwt(issuer, sub="ann"), issuer.opaque_token(sub="ann")
    return [
        Caller("known JWT", lambda _: known),
        Caller("new JWT", lambda _: jwt(issuer, sub="ann")),
        Caller("known opaque token", lambda _: known_opaque),
        Caller("new opaque token", lambda _: issuer.opaque_token(sub="ann")),
        newcomers(issuer),
    ]


def newcomers(issuer: Issuer) -> Caller:
    """Users who come three times at a time, each time with another token."""
    return Caller("newcomer", lambda number: jwt(issuer, sub=newcomer(number)))


def once_each(answers: Sequence[Answer]) -> list[int]:
    """Numbers of requests in which each of the newcomers of `answers` comes once."""
    return sorted({answer.number // 3 * 3 for answer in answers})


def newcomer(number: int) -> str:
    """Whom a newcomer comes as."""
    return f"newcomer-{number // 3}"


def bad(issuer: Issuer) -> list[Caller]:
    """Those who must never get in. The keys of `issuer` are rotated for one of them."""
    stranger = Issuer("https://stranger.example/realms/stranger")
    withdrawn, revoked = jwt(issuer, sub="ann"), issuer.opaque_token(sub="ann")
    issuer.rotate()
    issuer.revoke(revoked)
    key, foreign = ECKey.generate_key("P-256"), jwt(stranger, sub="ann")
    return [
        Caller("forged", lambda _: jwt(issuer, sub="ann", key=key, headers={"kid": issuer.key_id("ES256")})),
        Caller("unknown issuer", lambda _: foreign),
        Caller("withdrawn key", lambda _: withdrawn),
        Caller("deactivated user", lambda _: jwt(issuer, sub=DEACTIVATED)),
        Caller("deactivated, opaque", lambda _: issuer.opaque_token(sub=DEACTIVATED)),
        Caller("revoked opaque token", lambda _: revoked),
        Caller("invented opaque token", lambda number: f"invented-{number}"),
    ]


def ask(address: str, caller: Caller, number: int = 0) -> Answer:
    """One request on a connection of its own, so that any worker may have it."""
    token = caller.bring(number)
    asked_at = time.monotonic()
    status, pid, subject = _get(address, token)
    return Answer(caller.name, number, asked_at, time.monotonic(), status, pid, subject)


def _get(address: str, token: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)
    try:
        connection.request("GET", "/me", headers={**bearer(token), "Connection": "close"})
        answer = connection.getresponse()
        body = json.loads(answer.read())
        return answer.status, answer.headers["Pid"] or "", body.get("subject", "")
    except (ConnectionError, http.client.HTTPException):
        return BROKEN, "", ""
    finally:
        connection.close()


@contextmanager
def calling(address: str, callers: Sequence[Caller]) -> Iterator[Answers]:
    """What `callers` are answered while the block lasts; :data:`.THREADS` of them ask at a time."""
    numbers = itertools.count()

    def ask_next() -> Answer:
        time.sleep(PAUSE)
        number, place = divmod(next(numbers), len(callers))
        return ask(address, callers[place], number)

    with load(ask_next) as answers:
        yield Answers(answers)
