"""gunicorn with :mod:`.racing_app`, whom it trusts, and what it is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import urllib3

from flask_foreign_token.testing import Issuer

from ..apps import Resource, bearer, policy, trusting, write_registry
from . import racing_app
from .racing_app import GUNICORN
from .serving import served


def trusted(issuer: Issuer, name: str = "keycloak", **attributes: object) -> list[Resource]:
    """Resources by which the users of `issuer` get in who have an address, as its userinfo endpoint says."""
    email = policy(f"users-of-{name}", {"jwt": {"iss": issuer.issuer}, "user": {"data": {"email": "present?"}}})
    userinfo = {"userinfo-source": "userinfo-endpoint", "userinfo_endpoint": issuer.userinfo_endpoint}
    return trusting(issuer, email, name=name, toScim={"email": ["email"]}, **userinfo, **attributes)


def token_of(issuer: Issuer, subject: str, email: str | None = None) -> str:
    """A token with an address, by which the answer tells whose it is.

    :param email: none: made of `subject`.
    """
    return issuer.token(algorithm="ES256", sub=subject, email=email or f"{subject}@example.com")


@contextmanager
def racing(
    folder: Path, resources: Sequence[Resource], *arguments: str, database: str, model: str, log: list[str]
) -> Iterator[str]:
    """The address of workers that have seen nobody yet.

    :param arguments: more of them for gunicorn.
    :param database: where users are kept.
    :param model: see :mod:`.racing_app`.
    :param log: gets gunicorn's lines in the end.
    """
    write_registry(folder / "registry.json", resources)
    app = f"{racing_app.__name__}:create()"
    with served(folder, *GUNICORN, *arguments, app=app, log=log, DATABASE=database, MODEL=model) as address:
        yield address


def ask_all(address: str, tokens: Sequence[str], connections: int = 1, **headers: str) -> list[dict[str, Any]]:
    """What is answered to each of `tokens`, over so many connections at once; all of them must be let in."""
    with urllib3.PoolManager(maxsize=connections, retries=False, timeout=60) as http:

        def get(token: str) -> urllib3.BaseHTTPResponse:
            return http.request("GET", f"{address}/me", headers={**bearer(token), **headers})

        with ThreadPoolExecutor(connections) as pool:
            answers = list(pool.map(get, tokens))
    assert Counter(answer.status for answer in answers) == {200: len(tokens)}, {answer.data for answer in answers}
    return [answer.json() for answer in answers]
