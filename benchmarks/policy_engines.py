"""A request with ever more policies of each engine, and with as many rules of pycasbin.

The question is the same for all: may tokens of this issuer ``GET`` this address? Each policy and each rule opens one
address, and the one that is asked for is the last. The app with pycasbin checks no token: it is told who asks.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask, abort, request

from flask_foreign_token.testing import Issuer

from .harness import WARM_UP, Report, Sample, Work, interleaved, seconds_of
from .subjects import PATH, Body, View, ask, asking, bare_app, environ, keycloak_token, policy, protected_app

GROUP = "Policies by engine, a request times bare Flask"
COUNTS = (1, 10, 100, 1_000, 10_000)
BARE = "bare Flask"
SLOW = 0.001
"""Seconds of a request from which on it is measured apart: whatever follows it in a round finds its memory displaced,
and takes up to five times as long at first."""
MODEL = """
[request_definition]
r = sub, obj, act

[policy_definition]
p = sub, obj, act

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = r.sub == p.sub && r.obj == p.obj && r.act == p.act
"""
"""The first model of pycasbin's documentation."""
NOTES = {
    "`json-schema`": "found by its `const` as a pattern is",
    "`sql`": "a query of each, of SQLite, until one allows",
    "`sql` behind a pattern": "`complex`, the pattern first",
    "pycasbin `Enforcer`": "checks no token",
    "pycasbin `FastEnforcer`": "checks no token; `cache_key_order` is object and action",
}


def measure(report: Report) -> None:
    """The requests, times bare Flask, and how they grow."""
    series: dict[str, list[tuple[float, float]]] = {}
    with Issuer() as issuer:
        for count in COUNTS:
            with works_with(count, issuer) as works:
                pairs = measured(works)
            for name, (sample, bare) in pairs.items():
                note = NOTES.get(name, "") if count == COUNTS[0] else ""
                figure = report.ratio(GROUP, f"{name}, {count:,}", sample, to=bare, note=note)
                series.setdefault(name.replace("`", ""), []).append((count, figure.value))
    title = "A request by the number of its policies, the last of which allows it"
    report.curve("policies", title, "policies", "times bare Flask", series, log_x=True, log_y=True)


def measured(works: Mapping[str, Work]) -> Mapping[str, tuple[Sample, Sample]]:
    """What each takes, and what bare Flask takes beside it."""
    slow = {name for name, work in works.items() if seconds_of(work, 2) > SLOW}
    others = {name: work for name, work in works.items() if name not in slow}
    quick = interleaved(others, number=20, rounds=50, warm_up=WARM_UP)
    # So many bare requests that what they begin with does not count.
    lasting = interleaved(
        {name: work for name, work in works.items() if name in slow or name == BARE},
        number=200,
        rounds=15,
        numbers=dict.fromkeys(slow, 1),
    )
    return {
        name: (lasting[name], lasting[BARE]) if name in slow else (quick[name], quick[BARE])
        for name in works
        if name != BARE
    }


@contextmanager
def works_with(count: int, issuer: Issuer) -> Iterator[Mapping[str, Work]]:
    """The same request to an app of each kind with `count` policies."""
    first = int(PATH.rpartition("/")[2])
    numbers = range(first + count - 1, first - 1, -1)
    policies = {
        "`matcho`": [pattern(issuer, number) for number in numbers],
        "`json-schema`": [schema(issuer, number) for number in numbers],
        "`sql`": [query(number) for number in numbers],
        "`sql` behind a pattern": [query_behind_pattern(issuer, number) for number in numbers],
    }
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        config = {
            "FOREIGN_TOKEN_REGISTRY_POLL": 3600,
            "FOREIGN_TOKEN_SQL_URI": openings(f"sqlite:///{folder}/openings.sqlite", issuer, numbers),
        }
        apps = {BARE: bare_app()}
        for name, stored in policies.items():
            apps[name] = stack.enter_context(protected_app(issuer, stored, config=config))
        apps |= casbin_apps(folder, issuer, numbers)
        token = keycloak_token(issuer)
        opened, closed = environ(token), environ(token, "/rooms/none")
        for name, app in apps.items():
            assert ask(app, opened) == 200, name
            assert ask(app, closed) == (200 if name == BARE else 403), name
        yield {name: asking(app, opened) for name, app in apps.items()}


def address(number: int) -> str:
    return f"/rooms/{number}"


def pattern(issuer: Issuer, number: int) -> Body:
    matcho = {"jwt": {"iss": issuer.issuer}, "uri": address(number), "request-method": "get"}
    return policy(f"p-{number}", matcho)


def schema(issuer: Issuer, number: int) -> Body:
    said: Body = {
        "required": ["jwt", "uri", "request-method"],
        "properties": {
            "jwt": {"required": ["iss"], "properties": {"iss": {"const": issuer.issuer}}},
            "uri": {"const": address(number)},
            "request-method": {"const": "get"},
        },
    }
    return {"resourceType": "AccessPolicy", "id": f"p-{number}", "engine": "json-schema", "schema": said}


def query(number: int) -> Body:
    text = (
        f"SELECT count(*) > 0 FROM opening WHERE id = {number}"
        " AND issuer = {{jwt.iss}} AND uri = {{uri}} AND method = {{request-method}}"
    )
    return {"resourceType": "AccessPolicy", "id": f"p-{number}", "engine": "sql", "sql": {"query": text}}


def query_behind_pattern(issuer: Issuer, number: int) -> Body:
    conditions = [
        {name: body[name] for name in ("engine", body["engine"])} for body in (pattern(issuer, number), query(number))
    ]
    return {"resourceType": "AccessPolicy", "id": f"p-{number}", "engine": "complex", "and": conditions}


def openings(url: str, issuer: Issuer, numbers: range) -> str:
    """The URL of a database with what each policy of `sql` opens."""
    rows = [{"id": n, "issuer": issuer.issuer, "uri": address(n), "method": "get"} for n in numbers]
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE opening (id INTEGER PRIMARY KEY, issuer TEXT, uri TEXT, method TEXT)")
        connection.execute(sa.text("INSERT INTO opening VALUES (:id, :issuer, :uri, :method)"), rows)
    return url


def casbin_apps(folder: str, issuer: Issuer, numbers: range) -> Mapping[str, Flask]:
    """The bare app whose view asks an enforcer first."""
    import casbin

    model, rules = Path(folder, "model.conf"), Path(folder, "policy.csv")
    model.write_text(MODEL)
    rules.write_text("\n".join(f"p, {issuer.issuer}, {address(number)}, get" for number in numbers))
    enforcers = {
        "pycasbin `Enforcer`": casbin.Enforcer(str(model), str(rules)),
        "pycasbin `FastEnforcer`": casbin.FastEnforcer(str(model), str(rules), cache_key_order=[1, 2]),
    }
    return {name: bare_app(partial(asked, enforcer, issuer)) for name, enforcer in enforcers.items()}


def asked(enforcer: Any, issuer: Issuer, view: View) -> View:
    """A view that runs where `enforcer` lets tokens of `issuer` do what is asked for."""
    caller = issuer.issuer

    def guarded(**arguments: Any) -> Any:
        if not enforcer.enforce(caller, request.path, request.method.lower()):
            abort(403)
        return view(**arguments)

    return guarded
