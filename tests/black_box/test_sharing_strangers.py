"""Somebody else writes to the Redis: nobody gets in by it, nothing fails, and the provider is asked instead."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from redis import Redis

from ..apps import Resource, ask, introspector, policy
from ..conftest import MakeApp
from .callers import OPERATOR_SETTINGS
from .people import USERINFO, People, user_of
from .people import token as token_about
from .sharing import INTROSPECTION, KEYS, KINDS, Kind, Worker, by, entries, lasting, named, opaque, put_back, sharing
from .tokens import ISSUER, OPAQUE, active, document, jwk, let_in, refused, rsa_key

Put = Callable[[Redis, bytes, bytes], object]

HUGE = 20_000_000


def bytes_of(change: Callable[[bytes], bytes]) -> Put:
    return lambda store, key, value: store.set(key, change(value), ex=3600)


STRANGE: dict[str, Put] = {
    "nothing": bytes_of(lambda value: b""),
    "a byte": bytes_of(lambda value: b"\x00"),
    "text": bytes_of(lambda value: b"garbage" * 20),
    "no UTF-8": bytes_of(lambda value: b"\xff\xfe" * 60),
    "a number": bytes_of(lambda value: b"42"),
    "null": bytes_of(lambda value: b"null"),
    "JSON": bytes_of(lambda value: b'{"active": true, "sub": "ada", "keys": []}'),
    "deep JSON": bytes_of(lambda value: value[:32] + b"[" * 100_000),
    "its content alone": bytes_of(lambda value: value[32:]),
    "its MAC alone": bytes_of(lambda value: value[:32]),
    "zeros for a MAC": bytes_of(lambda value: bytes(32) + value[32:]),
    "no first byte": bytes_of(lambda value: value[1:]),
    "no last byte": bytes_of(lambda value: value[:-1]),
    "half of it": bytes_of(lambda value: value[: len(value) // 2]),
    "a byte more": bytes_of(lambda value: value + b" "),
    "a byte before": bytes_of(lambda value: b"!" + value),
    "twice": bytes_of(lambda value: value + value),
    "backwards": bytes_of(lambda value: value[::-1]),
    "upper case": bytes_of(lambda value: value.upper()),
    "huge": bytes_of(lambda value: b"x" * HUGE),
    "it and much more": bytes_of(lambda value: value + b" " * HUGE),
    "a list": lambda store, key, value: store.delete(key) and store.rpush(key, value),
    "a set": lambda store, key, value: store.delete(key) and store.sadd(key, value),
    "a sorted set": lambda store, key, value: store.delete(key) and store.zadd(key, {value: 1}),
    "a hash": lambda store, key, value: store.delete(key) and store.hset(key, "value", value),
    "a stream": lambda store, key, value: store.delete(key) and store.xadd(key, {"value": value}),
    "no expiry and garbage": lambda store, key, value: store.set(key, b"garbage" * 20),
}


def replaced(store: Redis, put: Put) -> None:
    stored = entries(store)
    assert stored
    for key, value in stored.items():
        put(store, key, value)


def cold(worker: Worker, kind: Kind, issuing: People) -> Flask:
    return worker(kind.resources(issuing))


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_entry_counts_as_absent(worker: Worker, issuing: People, store: Redis, kind: str, name: str):
    what, token = KINDS[kind], KINDS[kind].token(issuing)
    let_in(ask(cold(worker, what, issuing), token))

    replaced(store, STRANGE[name])
    what.withdraw(issuing)
    refused(ask(cold(worker, what, issuing), token))
    assert issuing.count(what.path) == 2


@pytest.mark.parametrize("name", ["nothing", "text", "half of it", "a list", "no expiry and garbage"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_entry_is_overwritten_by_the_next_fetch(worker: Worker, issuing: People, store: Redis, kind, name):
    what, token = KINDS[kind], KINDS[kind].token(issuing)
    let_in(ask(cold(worker, what, issuing), token))

    replaced(store, STRANGE[name])
    for _ in range(2):
        let_in(ask(cold(worker, what, issuing), token))
    assert issuing.count(what.path) == 2
    assert all(store.ttl(key) > 0 for key in store.scan_iter())


class Bomb:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize(
    ("before", "protocol"),
    [(b"", 0), (b"", 5), (b"!", 2), (bytes(32), 2)],
    ids=["in text", "plain", "as cachelib marks it", "after a MAC"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_unpickled(worker: Worker, issuing: People, store: Redis, tmp_path: Path, kind, before, protocol):
    what, token, made = KINDS[kind], KINDS[kind].token(issuing), tmp_path / "made"
    let_in(ask(cold(worker, what, issuing), token))

    replaced(store, bytes_of(lambda value: before + pickle.dumps(Bomb(made), protocol)))
    let_in(ask(cold(worker, what, issuing), token))
    assert not made.exists()
    pickle.loads(pickle.dumps(Bomb(made), protocol)).close()
    assert made.exists()


def test_no_bit_of_an_entry_may_be_another(worker: Worker, issuing: People, store: Redis):
    issuing.pages[INTROSPECTION] = {"active": True, "sub": "ada", "aud": "account"}
    first = worker(opaque(issuing))
    let_in(ask(first, "sample"))
    ((_, sample),) = entries(store).items()
    tokens = [f"token{number}" for number in range(len(sample))]
    at: dict[str, bytes] = {}
    for token in tokens:
        before = set(store.scan_iter(count=10_000))
        let_in(ask(first, token))
        (at[token],) = set(store.scan_iter(count=10_000)) - before
    stored = entries(store)

    for number, token in enumerate(tokens):
        value = bytearray(stored[at[token]])
        value[min(number, len(value) - 1)] ^= 1 << number % 8
        store.set(at[token], bytes(value), ex=3600)
    issuing.pages[INTROSPECTION] = {"active": False}
    asked = issuing.count(INTROSPECTION)
    second = worker(opaque(issuing))

    let_in(ask(second, "sample"))
    for token in tokens:
        refused(ask(second, token), "not active")
    assert issuing.count(INTROSPECTION) == asked + len(tokens)


# ---- genuine, and in another place


def swapped(store: Redis) -> None:
    """Every entry where another belongs."""
    stored = entries(store)
    assert len(stored) > 1
    values = list(stored.values())
    put_back(store, dict(zip(stored, values[1:] + values[:1], strict=True)))


def two_issuers(people: People) -> list[Resource]:
    return [
        introspector("one", None, jwt={"iss": ISSUER}, jwks_uri=people.url + KEYS),
        introspector("two", None, jwt={"iss": "https://two.example"}, jwks_uri=f"{people.url}/keys2"),
        policy("all", {"jwt": "present?"}),
    ]


def test_the_keys_of_one_issuer_are_not_those_of_another(worker: Worker, issuing: People, store: Redis):
    issuing.pages["/keys2"] = document({"keys": [jwk(rsa_key("second"), "first")]})
    first = worker(two_issuers(issuing))
    one, two = lasting(), lasting(rsa_key("second"), iss="https://two.example")
    for token in (one, two):
        let_in(ask(first, token))

    swapped(store)
    second = worker(two_issuers(issuing))
    refused(ask(second, lasting(rsa_key("second"))))
    refused(ask(second, lasting(iss="https://two.example")))
    for token in (one, two):
        let_in(ask(second, token))


def test_the_answer_about_one_token_is_none_about_another(worker: Worker, issuing: People, store: Redis):
    issuing.pages[INTROSPECTION] = lambda request: (
        active(iss=None, sub=request.form["token"]) if request.form["token"] == "good" else {"active": False}
    )
    first = worker(opaque(issuing))
    let_in(ask(first, "good"), "good")
    known = set(entries(store))
    refused(ask(first, "bad"))
    stored = entries(store)
    (value,) = (value for key, value in stored.items() if key in known)

    for key in stored:
        store.set(key, value, ex=3600)
    refused(ask(worker(opaque(issuing)), "bad"))


def test_the_answer_about_a_token_cannot_be_put_before_a_token_is_seen(worker: Worker, issuing: People, store: Redis):
    issuing.pages[INTROSPECTION] = active(iss=None, sub="eve")
    first = worker(opaque(issuing))
    let_in(ask(first, "eves"), "eve")
    ((eves, value),) = entries(store).items()
    issuing.pages[INTROSPECTION] = active(iss=None, sub="ada")
    let_in(ask(first, "adas"), "ada")
    adas = next(key for key in entries(store) if key != eves)

    store.set(adas, value, ex=3600)
    let_in(ask(worker(opaque(issuing)), "adas"), "ada")


def test_the_userinfo_of_one_user_is_not_that_of_another(worker: Worker, issuing: People, store: Redis):
    first = worker(issuing.resources(), **OPERATOR_SETTINGS)
    tokens = {sub: token_about(sub) for sub in ("ada", "bob")}
    for sub, token in tokens.items():
        issuing.says(email=f"{sub}@example.com")
        let_in(ask(first, token), sub)

    stored = entries(store)
    for value in stored.values():
        for key in stored:
            store.set(key, value, ex=3600)
        second = worker(issuing.resources(), **OPERATOR_SETTINGS)
        for sub, token in tokens.items():
            issuing.says(email=f"{sub}@example.com")
            let_in(ask(second, token), sub)
            assert user_of(second, sub)["data"]["email"] == f"{sub}@example.com"


def test_an_entry_of_one_kind_is_none_of_another(worker: Worker, issuing: People, store: Redis):
    resources = [*issuing.resources(), *opaque(issuing)[1:]]
    first, token = worker(resources), token_about()
    for one in (token, OPAQUE):
        let_in(ask(first, one))
    stored = entries(store)
    assert len(stored) == 3

    for value in stored.values():
        for key in stored:
            store.set(key, value if value != stored[key] else b"", ex=3600)
        second = worker(resources)
        for one in (token, OPAQUE):
            let_in(ask(second, one))
        refused(ask(second, lasting(rsa_key("another"))))
    assert [issuing.count(path) for path in (KEYS, INTROSPECTION, USERINFO)] == [4, 4, 4]


def test_an_entry_of_an_old_version_is_none_of_a_new_one(worker: Worker, issuing: People, store: Redis):
    let_in(ask(worker(opaque(issuing)), OPAQUE))
    ((_, value),) = entries(store).items()
    issuing.pages[INTROSPECTION] = {"active": False}
    new = opaque(issuing, cache_ttl=299)
    refused(ask(worker(new), OPAQUE))

    for key in entries(store):
        store.set(key, value, ex=3600)
    refused(ask(worker(new), OPAQUE))


# ---- made by somebody who does as we do


def lying_keys(people: People) -> None:
    people.keys(jwk(rsa_key("another"), "another"))


def lying_answer(people: People) -> None:
    people.pages[INTROSPECTION] = lambda request: (
        active(iss=None, sub="eve") if request.form["token"] == "eves" else {"active": False}
    )


LIES: dict[str, tuple[Callable[[People], None], Callable[[], str]]] = {
    "keys": (lying_keys, lambda: by("another", sub="eve")),
    "introspection": (lying_answer, lambda: "eves"),
}


@pytest.mark.parametrize("by_whom", ["another key", "another app"])
@pytest.mark.parametrize("kind", LIES)
def test_what_others_made_counts_as_absent(
    worker: Worker, issuing: People, store: Redis, bare_app: MakeApp, redis_url: str, kind: str, by_whom: str
):
    lie, token_of_eve = LIES[kind]
    resources, eves, honest = KINDS[kind].resources(issuing), token_of_eve(), issuing.pages[KINDS[kind].path]
    issuing.pages[INTROSPECTION] = {"active": False}
    if kind == "keys":
        let_in(ask(worker(resources), lasting()))
    else:
        refused(ask(worker(resources), eves))
    ours = entries(store)

    lie(issuing)
    if by_whom == "another key":
        liar = worker(resources, FOREIGN_TOKEN_CACHE_KEY="e" * 32)
    else:
        liar = named("another", bare_app, resources, **sharing(redis_url))
    store.flushall()
    let_in(ask(liar, eves), "eve")
    theirs = entries(store)
    assert theirs
    issuing.pages[KINDS[kind].path] = honest if kind == "keys" else {"active": False}

    for value in theirs.values():
        for key in ours:
            store.set(key, value, ex=3600)
        victim = worker(resources)
        refused(ask(victim, eves))
        if kind == "keys":
            let_in(ask(victim, lasting()))


# ---- claims of a stranger


def commands_of(store: Redis, work: Callable[[], object]) -> list[str]:
    """What the Redis was told while `work` ran."""
    told: list[str] = []
    with store.monitor() as monitor:
        work()
        store.echo("that was all")
        for command in monitor.listen():
            if "that was all" in command["command"]:
                return told
            told.append(command["command"])
    raise AssertionError


@pytest.mark.parametrize("value", ["", "1", "x" * 100_000])
@pytest.mark.parametrize("kind", KINDS)
def test_whoever_claims_everything_for_ever_stops_nobody(worker: Worker, issuing: People, store: Redis, kind, value):
    what, token = KINDS[kind], KINDS[kind].token(issuing)
    told = commands_of(store, lambda: let_in(ask(cold(worker, what, issuing), token)))
    written = {
        word for command in told if command.upper().startswith(("SET", "EVAL", "GETSET")) for word in command.split()
    }
    keys = [word for word in written if len(word) > 20 and word.isascii()]
    assert keys, told

    store.flushall()
    for key in keys:
        store.set(key, value)
    let_in(ask(cold(worker, what, issuing), token))
    assert issuing.count(what.path) == 2
    refused(ask(cold(worker, what, issuing), lasting(rsa_key("another"), iss=issuing.url)))


def test_whoever_flushes_the_redis_has_things_fetched_again(worker: Worker, issuing: People, store: Redis):
    for number in range(1, 4):
        let_in(ask(cold(worker, KINDS["keys"], issuing), lasting()))
        assert issuing.fetches == number
        store.flushall()


def test_whoever_renames_everything_has_things_fetched_again(worker: Worker, issuing: People, store: Redis):
    let_in(ask(cold(worker, KINDS["keys"], issuing), lasting()))

    for key in entries(store):
        store.rename(key, key + b"2")
    let_in(ask(cold(worker, KINDS["keys"], issuing), lasting()))
    assert issuing.fetches == 2
