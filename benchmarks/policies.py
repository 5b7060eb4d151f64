"""What policies cost, and that it does not grow with their number."""

from __future__ import annotations

import gc
import json
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import sqlalchemy as sa

from flask_foreign_token.introspection.frozen import freeze
from flask_foreign_token.policies.engines import Engines
from flask_foreign_token.policies.policy import compile_policy
from flask_foreign_token.policies.request import RequestView
from flask_foreign_token.registry.edits import Edit
from flask_foreign_token.testing import Issuer

from . import policy_engines
from .harness import WARM_UP, Figure, Report, Sample, Work, interleaved
from .registry import MANY, MINE, TUTORIAL, by_uri, worker
from .subjects import (
    PATH,
    SUBJECT,
    Body,
    ask,
    asking,
    environ,
    keycloak_token,
    policy,
    protected_app,
    trust_in,
    write_registry,
)

FEW = 10
METHODS = ("get", "post", "put", "delete")
REPEATED = 1000
"""How often a work does what takes less than a microsecond, so that its being called does not count."""


def measure(report: Report) -> None:
    """One policy, few and many of each family, the engines beside pycasbin, and the memory of one."""
    one_policy(report)
    growth(report)
    policy_engines.measure(report)
    memory(report)


# ---- one policy


def one_policy(report: Report) -> None:
    """The tutorial's policy, beside the two look-ups that it stands for."""
    allows = compile_policy("p", "1", policy("p", {"jwt": {"iss": TUTORIAL}}), Engines()).allows
    view: Any = RequestView(None, None, None)  # type: ignore[arg-type]  # its only part is there
    view["jwt"] = freeze(json.loads(json.dumps({"iss": TUTORIAL, "sub": "ann", "aud": "account", "azp": "my-client"})))
    assert allows(view)

    def look_up() -> None:
        for _ in repeat(None, REPEATED):
            view["jwt"]["iss"]

    def decide() -> None:
        for _ in repeat(None, REPEATED):
            allows(view)

    samples = interleaved({"two look-ups": look_up, "policy": decide}, number=10, rounds=100)
    look_ups, decided = (Sample(tuple(taken / REPEATED for taken in sample.seconds)) for sample in samples.values())
    group = "One policy, `{jwt: {iss: …}}`"
    report.time(group, "decided", decided, limit=1.5)
    report.time(group, "the two look-ups that it stands for", look_ups)
    report.ratio(group, "ratio", decided, to=look_ups, limit=6)


# ---- few and many


@dataclass(frozen=True)
class Caller:
    """What policies can say of the request: whose token it brings, who makes it, and with what."""

    issuer: str
    user: str
    client: str = "my-client"


@dataclass(frozen=True)
class Family:
    """Policies that differ in one way.

    :param policy: the one with that number; that with :data:`MINE` concerns the request.
    :param path: of the request.
    :param status: of the answer.
    """

    name: str
    policy: Callable[[int, Caller], Body]
    path: str = PATH
    status: int = 200


def mine_or(number: int, mine: str) -> str:
    return mine if number == MINE else f"https://other.example/{number}"


def matcho(number: int, pattern: Body, **attributes: Any) -> Body:
    return policy(f"p-{number}", pattern, **attributes)


def linked(number: int, caller: Caller, reference: str) -> Body:
    return matcho(number, {"jwt": {"iss": caller.issuer}}, link=[{"reference": reference}])


def in_grid(number: int, caller: Caller) -> Body:
    tenant, room = divmod(number, 100)
    issuer = caller.issuer if tenant == 0 else f"https://other.example/{tenant}"
    return matcho(number, {"jwt": {"iss": issuer}, "uri": f"/rooms/{room}"})


def by_method(number: int, caller: Caller) -> Body:
    pattern = {"jwt": {"iss": caller.issuer}, "uri": f"/rooms/{number // 4}", "request-method": METHODS[number % 4]}
    return matcho(number, pattern)


def by_room(number: int, caller: Caller) -> Body:
    return matcho(number, {"jwt": {"iss": caller.issuer}, "uri": f"/rooms/{number}"})


FAMILIES = (
    Family("`jwt.iss`", lambda n, caller: matcho(n, {"jwt": {"iss": mine_or(n, caller.issuer)}})),
    Family("a claim", lambda n, caller: matcho(n, {"jwt": {"sub": mine_or(n, SUBJECT)}, "request-method": "get"})),
    Family("`uri`, all of one issuer", by_room),
    Family("`uri`, none of them allows", by_room, path="/rooms/none", status=403),
    Family("`uri` and method, all of one issuer", by_method, path="/rooms/2"),
    Family("a hundred issuers with a hundred uris each", in_grid),
    Family("links to users", lambda n, caller: linked(n, caller, f"User/{mine_or(n, caller.user)}")),
    Family("links to clients", lambda n, caller: linked(n, caller, f"Client/{mine_or(n, caller.client)}")),
    Family("links to operations", lambda n, caller: linked(n, caller, f"Operation/{mine_or(n, 'room')}")),
)


def growth(report: Report) -> None:
    """The same request to an app with few policies and to one with many."""
    for family in FAMILIES:
        with ExitStack() as stack:
            issuer = stack.enter_context(Issuer())
            works = {str(count): stack.enter_context(prepared(family, count, issuer)) for count in (FEW, MANY)}
            few, many = interleaved(works, number=20, rounds=60, warm_up=WARM_UP).values()
        note = f"{few.typical.median * 1e6:.0f} and {many.typical.median * 1e6:.0f} µs"
        group = f"A request with {MANY:,} policies, beside one with {FEW}, that differ in"
        report.ratio(group, family.name, many, to=few, limit=1.1, note=note)


@contextmanager
def prepared(family: Family, count: int, issuer: Issuer) -> Iterator[Work]:
    """A request, to be made any number of times, of a token that the app with so many policies knows."""
    token = keycloak_token(issuer)
    request = environ(token, family.path)
    open_to_all = {"resourceType": "AccessPolicy", "id": "p", "engine": "allow"}
    with protected_app(issuer, [open_to_all], config={"FOREIGN_TOKEN_REGISTRY_POLL": 3600}) as app:
        # Somebody must have been there before a policy can be linked to them.
        assert ask(app, request) == 200
        with app.app_context():
            ids = app.extensions["sqlalchemy"].session.scalars(sa.text("SELECT id FROM foreign_token_user")).all()
            caller = Caller(issuer.issuer, str(*ids))
            policies = [family.policy(number, caller) for number in range(count)]
            write_registry(app.root_path, [*trust_in(issuer), *policies])
            app.extensions["foreign_token"].runtime().registry.load()
        assert ask(app, request) == family.status
        yield asking(app, request)


# ---- memory


def memory(report: Report) -> None:
    """What a policy takes in an app that reads it from the database, with its resource."""
    with tempfile.TemporaryDirectory() as folder:
        with worker(folder) as writer:
            writer.catalog.apply(Edit([by_uri(number) for number in range(MANY)]))
        # Another one, since this one knows them already.
        with worker(folder) as reader:
            gc.collect()
            tracemalloc.start()
            reader.registry.load()
            gc.collect()
            taken, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
    each = taken / MANY
    report.add(Figure("Memory of a policy", f"with its resource, of {MANY:,}", each, "B", each, each, limit=4096))
