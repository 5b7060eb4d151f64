"""PostgreSQL is restarted while callers of all sorts ask and an operator edits: nobody gets in who must not, and
nothing is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from flask_foreign_token.errors import REST
from flask_foreign_token.testing import Issuer

from ..admin.asking import NAME, PASSWORD
from ..apps import policy
from . import servers
from .callers import bad, calling, good
from .enduring import assert_nobody_is_lost, enduring
from .enduring_app import WORKERS
from .waiting import until

DOWN = 2.0
"""Seconds for which it is not there."""
WITHIN = REST + 10.0
"""Seconds after which every worker must have recovered: the rest that follows a failure, and generously more."""
EDITED = "/fhir/AccessPolicy/edited"


@dataclass(frozen=True, slots=True)
class Edits:
    """What became of the edits of one resource, each of which has the next number for its description."""

    statuses: list[int] = field(default_factory=list)

    @property
    def accepted(self) -> list[int]:
        """The numbers of those that were answered with success."""
        return [number for number, status in enumerate(self.statuses) if status in (200, 201)]

    def until_accepted(self) -> None:
        """Wait until one is accepted that was sent from now on."""
        sent = len(self.statuses) + 1
        until(lambda accepted: accepted[-1:] > [sent], lambda: self.accepted, within=30)


@pytest.mark.parametrize(
    ("mode", "user_ttl"), [("fast", 600), ("immediate", 600), ("immediate", 0)], ids=["fast", "immediate", "no memory"]
)
def test_a_restart_lets_nobody_in_and_loses_nothing(
    tmp_path: Path, own_issuer: Issuer, mode: str, user_ttl: int
) -> None:
    strangers, friends = bad(own_issuer), good(own_issuer)
    *known, newcomers = friends
    settings = {"FOREIGN_TOKEN_USER_TTL": str(user_ttl)}
    with (
        servers.stoppable_postgresql() as server,
        enduring(tmp_path, own_issuer, server.url, cache_ttl=300, **settings) as address,
    ):
        with calling(address, [*friends, *strangers]) as answers, editing(address) as edits:
            began_at = time.monotonic()
            for caller in known:
                answers.until_each_worker(WORKERS, caller, since=began_at)
            stopped_at = time.monotonic()
            server.stop(mode)
            down_at = time.monotonic()
            until(lambda now: now > down_at + DOWN, time.monotonic)
            starting_at = time.monotonic()
            server.start()
            back_at = time.monotonic()
            recovered_after = answers.until_each_worker(WORKERS, newcomers, since=back_at)
            edits.until_accepted()
            recovered_at = time.monotonic()
            answers.until_more()
        assert_nobody_is_lost(address, server.url, answers.of([newcomers]), newcomers)
        stored, versions = get(address, EDITED), get(address, f"{EDITED}/_history?_count=100")["entry"]
    phases = {"before": began_at, "stopping": stopped_at, "down": down_at, "starting": starting_at, "back": back_at}
    print(answers.table({**phases, "well": recovered_at}))
    print(f"recovered after {recovered_after:.1f} s; {len(edits.accepted)} edits")

    # Whoever is remembered gets in all the time, and whoever must be looked up does not.
    assert answers.statuses(known) == ({200} if user_ttl else {200, 503})
    assert answers.statuses(known, since=recovered_at) == {200}
    assert answers.statuses([newcomers]) == {200, 503}
    unknown = [newcomers] if user_ttl else friends
    meanwhile = [a for a in answers.of(unknown, since=down_at) if a.answered_at < starting_at]
    assert {answer.status for answer in meanwhile} == {503}
    assert answers.statuses(strangers) <= {401, 503}
    assert answers.statuses(strangers, since=recovered_at) == {401}
    assert not answers.impostors()
    assert set(edits.statuses) == {200, 201, 503}
    assert int(stored["description"]) >= edits.accepted[-1]
    assert {*map(str, edits.accepted)} <= {entry["resource"]["description"] for entry in versions}
    assert recovered_after < WITHIN


@contextmanager
def editing(address: str) -> Iterator[Edits]:
    """What becomes of the edits of an operator who makes one after the other while the block lasts."""
    edits = Edits()
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(0.25):
            body = policy("edited", {"uri": "/nowhere"}, description=str(len(edits.statuses)))
            edits.statuses.append(
                requests.put(address + EDITED, json=body, auth=(NAME, PASSWORD), timeout=30).status_code
            )

    with ThreadPoolExecutor(1) as pool:
        operator = pool.submit(go_on)
        try:
            yield edits
        finally:
            over.set()
        operator.result()


def get(address: str, path: str) -> Any:
    answer = requests.get(address + path, auth=(NAME, PASSWORD), timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()
