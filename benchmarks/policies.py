"""What policies cost, and that it does not grow with their number.

::

    python -m benchmarks.policies

prints what it measured, each beside its limit, and exits with 1 where one is missed. Times are those of the processor.
What is compared runs in turns, and of all turns the fastest counts, so that a busy machine does not matter.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask, g
from werkzeug.test import EnvironBuilder, run_wsgi_app

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.introspection.frozen import freeze
from flask_foreign_token.policies.engines import Engines
from flask_foreign_token.policies.policy import compile_policy
from flask_foreign_token.policies.request import RequestView
from flask_foreign_token.registry.edits import Edit
from flask_foreign_token.testing import Issuer

from .reporting import Report, fastest, timer

FEW, MANY = 10, 10_000
MINE = 7
"""The number of the policy that concerns the request."""
TUTORIAL = "http://localhost:8180/realms/myrealm"
METHODS = ("get", "post", "put", "delete")

Body = dict[str, Any]


def matcho(number: int, pattern: Body, **attributes: Any) -> Body:
    return {"resourceType": "AccessPolicy", "id": f"p-{number}", "engine": "matcho", "matcho": pattern, **attributes}


def by_uri(number: int) -> Body:
    """The size that the limit of memory is meant for."""
    return matcho(number, {"jwt": {"iss": TUTORIAL}, "uri": f"/fhir/Patient/{number}", "request-method": "get"})


# ---- one policy


def one_policy(report: Report) -> None:
    """The tutorial's policy, beside the two look-ups that it stands for."""
    allows = compile_policy("p", "1", matcho(0, {"jwt": {"iss": TUTORIAL}}), Engines()).allows
    view = RequestView(None, None, None)  # type: ignore[arg-type]  # its only part is there
    view["jwt"] = freeze(json.loads(json.dumps({"iss": TUTORIAL, "sub": "ann", "aud": "account", "azp": "my-client"})))
    assert allows(view)
    names = {"allows": allows, "view": view}
    look_ups, policy = fastest(
        timer("view['jwt']['iss']", names), timer("allows(view)", names), number=20_000, turns=50
    )
    report.line("one policy", policy * 1e6, "µs", 1.5)
    report.line("  the two look-ups that it stands for", look_ups * 1e6, "µs")
    report.line("  ratio", policy / look_ups, "times", 6)


# ---- a whole request


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
    path: str = f"/rooms/{MINE}"
    status: int = 200


def mine_or(number: int, mine: str) -> str:
    return mine if number == MINE else f"https://other.example/{number}"


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
    Family("jwt.iss", lambda n, caller: matcho(n, {"jwt": {"iss": mine_or(n, caller.issuer)}})),
    Family("a claim", lambda n, caller: matcho(n, {"jwt": {"sub": mine_or(n, "ann")}, "request-method": "get"})),
    Family("uri, all of one issuer", by_room),
    Family("uri, none of them allows", by_room, path="/rooms/none", status=403),
    Family("uri and method, all of one issuer", by_method, path="/rooms/2"),
    Family("a hundred issuers with a hundred uris each", in_grid),
    Family("links to users", lambda n, caller: linked(n, caller, f"User/{mine_or(n, caller.user)}")),
    Family("links to clients", lambda n, caller: linked(n, caller, f"Client/{mine_or(n, caller.client)}")),
    Family("links to operations", lambda n, caller: linked(n, caller, f"Operation/{mine_or(n, 'room')}")),
)


def whole_requests(report: Report) -> None:
    """The same request to an app with few policies and to one with many."""
    print(f"a request with {FEW} policies, and with {MANY:,} that differ in")
    for family in FAMILIES:
        with ExitStack() as stack:
            issuer = stack.enter_context(Issuer())
            few, many = (stack.enter_context(prepared(family, count, issuer)) for count in (FEW, MANY))
            with_few, with_many = fastest(timer(few), timer(many), number=20, turns=200)
        report.line(
            f"  {family.name}: {with_few * 1e6:.0f} and {with_many * 1e6:.0f} µs", with_many / with_few, "times", 1.1
        )


@contextmanager
def prepared(family: Family, count: int, issuer: Issuer) -> Iterator[Callable[[], str]]:
    """A request, to be made any number of times, of a token that the app with so many policies knows."""
    with tempfile.TemporaryDirectory() as folder:
        registry = Path(folder) / "registry.json"
        registry.write_text(
            json.dumps([*trusting(issuer), {"resourceType": "AccessPolicy", "id": "p", "engine": "allow"}])
        )
        app = make_app(folder, FOREIGN_TOKEN_REGISTRY=registry.name, FOREIGN_TOKEN_REGISTRY_POLL=3600)
        headers = {"Authorization": f"Bearer {issuer.token(sub='ann')}"}
        caller = Caller(issuer.issuer, app.test_client().get("/me", headers=headers).get_json()["id"])
        registry.write_text(json.dumps([*trusting(issuer), *(family.policy(n, caller) for n in range(count))]))
        with app.app_context():
            app.extensions["foreign_token"].runtime().registry.load()
        environ = EnvironBuilder(family.path, headers=[*headers.items()]).get_environ()

        def ask() -> str:
            _, status, _ = run_wsgi_app(app, environ, buffered=True)
            return status

        assert ask().startswith(str(family.status)), ask()
        yield ask
        close(app)


def trusting(issuer: Issuer) -> list[Body]:
    return [
        {"resourceType": "IdentityProvider", "id": "idp", "system": "idp", "userinfo-source": "id-token"},
        {
            "resourceType": "TokenIntrospector",
            "id": "jwt",
            "type": "jwt",
            "jwt": {"iss": issuer.issuer, "aud": "account"},
            "jwks_uri": issuer.jwks_uri,
            "identity_provider": {"reference": "IdentityProvider/idp"},
        },
    ]


def make_app(folder: str, **config: Any) -> Flask:
    app = Flask("clinic", root_path=folder, instance_path=folder)
    app.config.update(SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder}/clinic.sqlite", **config)
    ForeignToken(app)

    @app.get("/rooms/<name>")
    @require_policy
    def room(name: str) -> str:
        return name

    @app.get("/me")
    @require_policy
    def me() -> Body:
        return {"id": str(g.user.id)}

    return app


def close(app: Flask) -> None:
    with app.app_context():
        for engine in app.extensions["sqlalchemy"].engines.values():
            engine.dispose()


# ---- memory


def memory(report: Report) -> None:
    """What a policy takes in an app that reads it from the database, with its resource."""
    with tempfile.TemporaryDirectory() as folder:
        app = make_app(folder)
        with app.app_context():
            app.extensions["foreign_token"].runtime().catalog.apply(Edit([by_uri(number) for number in range(MANY)]))
        close(app)
        # Another one, since this one knows them already.
        app = make_app(folder)
        with app.app_context():
            runtime = app.extensions["foreign_token"].runtime()
            runtime.prepare_tables()
            gc.collect()
            tracemalloc.start()
            runtime.registry.load()
            gc.collect()
            taken, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        close(app)
    report.line("memory of a policy, with its resource", taken / MANY, "B", 4096)


def main() -> int:
    report = Report()
    for measure in (one_policy, whole_requests, memory):
        measure(report)
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
