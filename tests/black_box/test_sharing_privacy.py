"""What stands in the Redis: no token, no secret, no name of anybody in a key, and nothing for ever."""

from __future__ import annotations

import base64
import os
from urllib.parse import quote

import pytest
from redis import Redis

from ..apps import ask
from .people import People
from .people import token as token_about
from .sharing import CACHE_KEY, KINDS, Worker, entries, opaque
from .tokens import OPAQUE, let_in

SUBJECT = "somebody-unmistakable"
EMAIL = "somebody.unmistakable@example.com"
CLIENT_SECRET = "the-secret-of-the-clinic"


@pytest.fixture(name="full")
def full_fixture(worker: Worker, issuing: People, store: Redis) -> list[str]:
    """There is something of each kind in the Redis; the tokens by which it came there."""
    issuing.says(email=EMAIL, name="Somebody Unmistakable")
    resources = [*issuing.resources(), *opaque(issuing)[1:]]
    tokens = [token_about(SUBJECT), OPAQUE]
    for app in (worker(resources), worker(resources)):
        for token, subject in zip(tokens, (SUBJECT, "ada"), strict=True):
            let_in(ask(app, token), subject)
    metadata = worker(KINDS["metadata"].resources(issuing))
    tokens.append(KINDS["metadata"].token(issuing))
    let_in(ask(metadata, tokens[-1]))
    assert len(entries(store)) >= 4
    return tokens


def everything(store: Redis) -> bytes:
    return b"\n".join([*store.scan_iter(), *entries(store).values()])


def written(text: str) -> list[bytes]:
    """The ways in which a text could stand there."""
    plain = text.encode()
    return [plain, plain.hex().encode(), base64.b64encode(plain)[:-4], quote(text).encode()]


def test_no_token_stands_there_nor_a_part_of_it(full: list[str], store: Redis):
    held = everything(store)

    for token in full:
        for part in {token, *token.split(".")}:
            if len(part) > 40 or part == token:
                assert not any(way in held for way in written(part)), part


def test_no_secret_stands_there(full: list[str], store: Redis):
    for secret in (CACHE_KEY, CLIENT_SECRET):
        assert not any(way in everything(store) for way in written(secret))


def test_no_key_says_who_it_is_about(full: list[str], store: Redis):
    keys = b"\n".join(store.scan_iter())

    for text in (SUBJECT, EMAIL, "Unmistakable"):
        assert not any(way in keys for way in written(text)), text
    assert all(key.isascii() and b" " not in key and b"\n" not in key for key in store.scan_iter())


def test_every_key_begins_with_what_tells_whose_it_is(full: list[str], store: Redis):
    common = os.path.commonprefix(list(store.scan_iter()))  # noqa: RUF071 - characters are what is meant

    assert b"foreign" in common
    assert b"token" in common


def test_every_key_ends_some_time(full: list[str], store: Redis):
    for key in store.scan_iter():
        assert 0 < store.ttl(key) <= 86_400, key


def test_every_key_is_written_with_its_end_in_one_command(worker: Worker, issuing: People, store: Redis):
    told: list[str] = []
    with store.monitor() as monitor:
        let_in(ask(worker(issuing.resources()), token_about()))
        store.echo("that was all")
        for command in monitor.listen():
            if "that was all" in command["command"]:
                break
            told.append(command["command"])

    assert any(command.upper().startswith("SET") for command in told)
    assert not any(command.upper().startswith("SETNX") for command in told), "killed in between, it would stay for ever"
    for command in told:
        if command.upper().startswith("SET "):
            assert any(word in command.upper().split() for word in ("EX", "PX", "EXAT", "PXAT")), command[:80]


@pytest.mark.parametrize("ttl", [60, 300])
def test_an_answer_stays_no_longer_than_it_counts(worker: Worker, issuing: People, store: Redis, ttl: int):
    let_in(ask(worker(opaque(issuing, cache_ttl=ttl)), OPAQUE))

    assert [0 < store.ttl(key) <= ttl for key in entries(store)] == [True]


def test_keys_stay_no_longer_than_they_could_serve(worker: Worker, issuing: People, store: Redis):
    app = worker(KINDS["keys"].resources(issuing), FOREIGN_TOKEN_KEY_GRACE=100)
    let_in(ask(app, KINDS["keys"].token(issuing)))

    assert [0 < store.ttl(key) <= 401 for key in entries(store)] == [True]


def test_a_flood_of_inactive_tokens_is_gone_within_a_minute(worker: Worker, issuing: People, store: Redis):
    app = worker(opaque(issuing, cache_ttl=3600))
    issuing.pages["/introspect"] = {"active": False}

    for number in range(50):
        assert ask(app, f"invented{number}").status_code == 401
    assert all(0 < store.ttl(key) <= 60 for key in store.scan_iter())
