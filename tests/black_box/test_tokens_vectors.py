"""The attacks that others have collected, sent to an app whose provider publishes all their keys."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from ..apps import ask
from ..conftest import MakeApp
from ..vectors import VECTORS
from .tokens import Server, issued_by, jwk, let_in, rsa_key, serving, token_of

WYCHEPROOF = VECTORS / "wycheproof"
BUCKET = 4
REFILLS = 3
COOKBOOK = VECTORS / "cookbook"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def groups() -> list[dict[str, Any]]:
    if not WYCHEPROOF.is_dir():
        pytest.skip(f"{WYCHEPROOF} is absent")
    names = ("json_web_signature_test.json", "json_web_key_test.json")
    return [group for name in names for group in json.loads((WYCHEPROOF / name).read_text())["testGroups"]]


def keys_of(group: dict[str, Any]) -> list[dict[str, Any]]:
    public = group.get("public") or {}
    return list(public["keys"]) if "keys" in public else [public] if public else []


def everything(app: Flask, texts: list[str]) -> Counter[int]:
    return Counter(ask(app, text).status_code for text in texts)


def test_none_of_wycheproof_is_let_in_and_the_good_key_serves_throughout(server: Server, make_app: MakeApp):
    found = groups()
    keys = [key for group in found for key in keys_of(group) if key.get("kty") in {"RSA", "EC"}]
    texts = [test["jws"] for group in found for test in group["tests"]]
    texts = [text if isinstance(text, str) else json.dumps(text) for text in texts]
    assert len(texts) == 427
    app = make_app(issued_by(server.keys(*keys, jwk(rsa_key(), "healthy"))))
    let_in(ask(app, token_of(kid="healthy")))

    for number, text in enumerate(texts):
        assert ask(app, text.replace("\n", "")).status_code in {400, 401}, number
        if number % 50 == 0:
            let_in(ask(app, token_of(kid="healthy", sub=f"user{number}")), f"user{number}")
    let_in(ask(app, token_of(kid="healthy", sub="last")), "last")
    assert server.fetches <= 1 + BUCKET + REFILLS


def test_none_of_the_cookbook_is_a_token_of_ours(server: Server, make_app: MakeApp):
    if not COOKBOOK.is_dir():
        pytest.skip(f"{COOKBOOK} is absent")
    texts = []
    for path in sorted(COOKBOOK.glob("*.json")):
        output = json.loads(path.read_text()).get("output", {})
        texts += [value if isinstance(value, str) else json.dumps(value) for value in output.values()]
    assert texts
    app = make_app(issued_by(server.keys(jwk(rsa_key()))))
    let_in(ask(app, token_of()))

    assert set(everything(app, texts)) <= {400, 401}
    let_in(ask(app, token_of(sub="last")), "last")
