"""Users who arrive, are refreshed, and are changed by operators at the same moment, on real servers."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy

from flask_foreign_token.errors import InvalidToken, Rejected
from flask_foreign_token.introspection.token import Credential, Token
from flask_foreign_token.tables import create_missing
from flask_foreign_token.users.provider import Provider
from flask_foreign_token.users.snapshot import UserSnapshot

from ..users.accounts import SYSTEMS, Desk, named
from ..users.conftest import ISSUER, Says, World, a_credential, a_provider, a_token, a_world, at_once, closed
from .databases import Databases
from .repeating import TIMES
from .servers import SERVERS

ROUNDS = TIMES
HOUR = 3600
WORKERS = 2
Act = Callable[[Desk, str, int], object]

DEFAULT, OWN, ON_A_BIND = "default model", "own model", "own model on a bind"


def person(db: SQLAlchemy) -> type:
    columns: dict[str, Any] = {
        "id": sa.Column(sa.Integer, primary_key=True),
        "email": sa.Column(sa.String(80)),
        "is_active": sa.Column(sa.Boolean, nullable=False, default=True),
    }
    return type("Person", (db.Model,), columns)


def person_on_a_bind(db: SQLAlchemy) -> type:
    """Who is active, only the identifiers say."""
    columns = {"id": sa.Column(sa.Integer, primary_key=True), "email": sa.Column(sa.String(80))}
    return type("Person", (db.Model,), {"__bind_key__": "people", **columns})


class Meeting:
    """Where so many threads wait for each other, each of them once."""

    def __init__(self, number: int) -> None:
        self._barrier = threading.Barrier(number)
        self._places = itertools.count()

    def come(self) -> None:
        if next(self._places) < self._barrier.parties:
            self._barrier.wait(30)


class Tells(Says):
    """Answers when everybody has come who is to act at that moment."""

    def __init__(self, meeting: Meeting, **claims: object) -> None:
        super().__init__(**claims)
        self._meeting = meeting

    def userinfo(self, token: Token, credential: Credential) -> Mapping[str, object]:
        said = super().userinfo(token, credential)
        self._meeting.come()
        return said


class Company:
    """Workers who remember users for hours, and an operator of whose changes each learns at once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.desk = Desk(world)
        self.told: list[str] = []
        self.workers = [
            world.users(announce=lambda event, user: self.told.append(event), ttl=10 * HOUR) for _ in range(WORKERS)
        ]
        self.desk.on_forget = self._forget

    def _forget(self, key: str | None) -> None:
        for worker in self.workers:
            worker.forget_all() if key is None else worker.forget(key)

    def arrive(
        self, provider: Provider, sub: str, issuer: str | None = None, *, worker: int = 0
    ) -> UserSnapshot | None:
        """Whom somebody is who brings a token that is new to a worker."""
        token = a_token(sub, issuer or SYSTEMS[provider.system])
        return self.workers[worker % WORKERS].meet(token, provider, a_credential(f"token {worker}"))

    def lets_in_at(self, worker: int, provider: Provider, sub: str, issuer: str | None = None) -> bool:
        try:
            return self.arrive(provider, sub, issuer, worker=worker) is not None
        except InvalidToken:
            return False

    def lets_in(self, provider: Provider, sub: str, issuer: str | None = None) -> set[bool]:
        """Whether somebody gets in, as every worker says."""
        return {self.lets_in_at(worker, provider, sub, issuer) for worker in range(WORKERS)}

    def key_of(self, system: str, sub: str) -> object:
        """The key of the user of an identifier; none: nobody has it."""
        table = self.world.models.identifier.__table__
        where = sa.and_(table.c.system == system, table.c.value == sub)
        with self.world.transactions.reading() as connection:
            return connection.scalar(sa.select(table.c.user_id).where(where))

    def most_of(self, system: str) -> int:
        """How many identifiers of a system a user has, at most."""
        table = self.world.models.identifier.__table__
        each = sa.select(sa.func.count()).where(table.c.system == system).group_by(table.c.user_id)
        with self.world.transactions.reading() as connection:
            return max(connection.scalars(each), default=0)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[DEFAULT, OWN, ON_A_BIND])
def company(request: pytest.FixtureRequest, server: str, databases: Databases, tmp_path: Path) -> Iterator[Company]:
    uris = [databases.empty(server, tmp_path) for _ in range(2)]
    if request.param == DEFAULT:
        world = a_world(uris[0], create_all=False)
        create_missing(world.transactions, world.models.tables)
    elif request.param == OWN:
        world = a_world(uris[0], user_class=person, active_attribute="is_active", user_attributes=["email"])
    else:
        world = a_world(uris[0], binds={"people": uris[1]}, user_class=person_on_a_bind, user_attributes=["email"])
    yield Company(world)
    closed(world)


def verified(address: str) -> dict[str, object]:
    return {"email": address, "email_verified": True}


def entra(source: Says) -> Provider:
    """The provider of newcomers."""
    return a_provider(source, system="entra", match_by="email")


def at_the_same_time(*works: Callable[[], object]) -> list[object]:
    """What each returns, or is refused with."""

    def run(number: int) -> object:
        try:
            return works[number]()
        except Rejected as rejected:
            return rejected

    return at_once(len(works), run)


def after(meeting: Meeting, work: Callable[[], object]) -> Callable[[], object]:
    """`work`, which begins when everybody has come."""

    def wait_and_work() -> object:
        meeting.come()
        return work()

    return wait_and_work


def reasons(results: Iterable[object]) -> set[str]:
    """Why those were refused who were."""
    texts = (str(result) for result in results if isinstance(result, Exception))
    return {text.rpartition(": ")[2] for text in texts}


@pytest.fixture(autouse=True)
def nothing_was_told(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What stands in the way of a refresh, such as a deadlock, keeps nobody out: it is told."""
    yield
    assert [record.getMessage() for record in caplog.get_records("call") if record.levelname != "INFO"] == []


# ---- newcomers who are linked


def test_of_newcomers_of_one_system_with_one_address_the_first_is_linked(company: Company) -> None:
    for turn in range(ROUNDS):
        said = verified(f"ann{turn}@example.org")
        first = company.arrive(a_provider(Says(**said)), f"ann{turn}")
        company.told.clear()
        provider = entra(Tells(Meeting(4), **said))

        found = at_the_same_time(
            *(partial(company.arrive, provider, f"a{turn}-{number}", worker=number) for number in range(4))
        )

        assert reasons(found) == set()
        assert len({user.key for user in found}) == 4
        assert first.key in {user.key for user in found}
        assert sorted(company.told) == ["created"] * 3 + ["updated"]
    assert company.most_of("entra") == 1


def test_a_newcomer_whom_several_workers_see_at_once_is_linked_once(company: Company) -> None:
    for turn in range(ROUNDS):
        said = verified(f"ann{turn}@example.org")
        first = company.arrive(a_provider(Says(**said)), f"ann{turn}")
        company.told.clear()
        provider = entra(Tells(Meeting(WORKERS), **said))

        found = at_the_same_time(
            *(partial(company.arrive, provider, f"a{turn}", worker=number) for number in range(2 * WORKERS))
        )

        assert reasons(found) == set()
        assert {user.key for user in found} == {first.key}
        assert company.told == ["updated"]


LINKED: Mapping[str, Act] = {
    "delete": lambda desk, key, turn: desk.accounts.delete(key),
    "forget": lambda desk, key, turn: desk.personal_data.forget(key),
    "deactivate": lambda desk, key, turn: desk.accounts.set_active([key], False),
    "unlink": lambda desk, key, turn: desk.links.unlink(key, ("keycloak", f"ann{turn}")),
    "create": lambda desk, key, turn: desk.put(None, identifier=named(f"a{turn}-0", system="entra")),
    "link": lambda desk, key, turn: desk.links.link(key, ("entra", f"a{turn}-0")),
    "link to another": lambda desk, key, turn: desk.links.link(desk.put(None).id, ("entra", f"a{turn}-0")),
    "replace": lambda desk, key, turn: desk.put(
        key, identifier=named(f"a{turn}-0", f"a{turn}-1", system="entra"), email="of@operator"
    ),
}
"""What an operator does, where newcomers are about to be linked to the user with that key."""


@pytest.mark.parametrize("act", LINKED)
def test_newcomers_are_linked_while_an_operator_acts(company: Company, act: str) -> None:
    for turn in range(ROUNDS):
        said = verified(f"ann{turn}@example.org")
        first = company.arrive(a_provider(Says(**said)), f"ann{turn}")
        meeting = Meeting(3)
        provider = entra(Tells(meeting, **said))
        operate = partial(LINKED[act], company.desk, str(first.key), turn)

        operated, *found = at_the_same_time(
            after(meeting, operate),
            *(partial(company.arrive, provider, f"a{turn}-{number}", worker=number) for number in range(2)),
        )

        assert reasons([operated]) <= {"belongs to another user"}
        assert reasons(found) <= ({"the user is inactive"} if act == "deactivate" else set())
        for number, user in enumerate(found):
            owner = company.key_of("entra", f"a{turn}-{number}")
            refused = act == "deactivate" and owner in {None, first.key}
            assert isinstance(user, UserSnapshot) or refused
            assert company.lets_in(provider, f"a{turn}-{number}") == {not refused}
    if act not in {"link", "replace"}:
        # An operator may give a user several of one system.
        assert company.most_of("entra") <= 1


# ---- users who are refreshed

OTHER_ISSUER = "https://other.example"

REFRESHED: Mapping[str, Act] = {
    "delete": lambda desk, key, turn: desk.accounts.delete(key),
    "forget": lambda desk, key, turn: desk.personal_data.forget(key),
    "deactivate": lambda desk, key, turn: desk.accounts.set_active([key], False),
    "unlink": lambda desk, key, turn: desk.links.unlink(key, ("keycloak", f"ann{turn}")),
    "link": lambda desk, key, turn: desk.links.link(key, ("entra", f"a{turn}")),
    "replace": lambda desk, key, turn: desk.put(key, identifier=named(f"ann{turn}"), email="of@operator"),
    "rebind": lambda desk, key, turn: desk.links.rebind("keycloak", OTHER_ISSUER),
}
"""What an operator does to the user with that key, who is about to be refreshed."""

KEPT_OUT = {"deactivate": "the user is inactive", "rebind": "the identifier belongs to another issuer"}


@pytest.mark.parametrize("act", REFRESHED)
def test_users_are_refreshed_while_an_operator_acts(
    company: Company, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for turn in range(ROUNDS):
        monkeypatch.setitem(SYSTEMS, "keycloak", ISSUER)
        sub = f"ann{turn}"
        first = company.arrive(a_provider(Says(email="ann@example.org")), sub)
        company.world.clock.now += HOUR
        meeting = Meeting(WORKERS + 1)
        provider = a_provider(Tells(meeting, email="ann@example.com"))
        arrivals = [partial(company.arrive, provider, sub, ISSUER, worker=number) for number in range(2 * WORKERS)]
        if act == "rebind":
            monkeypatch.setitem(SYSTEMS, "keycloak", OTHER_ISSUER)

        operated, *found = at_the_same_time(
            after(meeting, partial(REFRESHED[act], company.desk, str(first.key), turn)), *arrivals
        )

        assert reasons([operated]) == set()
        assert reasons(found) <= {KEPT_OUT.get(act)}
        assert company.lets_in(provider, sub, ISSUER) == {act not in KEPT_OUT}
        stays = act not in {"delete", "forget", "unlink"}
        assert (company.key_of("keycloak", sub) == first.key) is stays


class Changes(Says):
    """Says something new each time, an hour later."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def userinfo(self, token: Token, credential: Credential) -> Mapping[str, object]:
        self._world.clock.now += HOUR
        return {**super().userinfo(token, credential), "email": f"{self._world.clock.now}@example.org"}


@pytest.mark.parametrize("act", ["deactivate", "delete"])
def test_nobody_gets_in_who_comes_when_the_end_was_announced(company: Company, act: str) -> None:
    provider = a_provider(Changes(company.world), create_user=False)
    for turn in range(ROUNDS):
        sub = f"ann{turn}"
        first = company.arrive(a_provider(Says()), sub)
        many, ended = Meeting(5), threading.Event()

        def end(first: UserSnapshot = first, many: Meeting = many, ended: threading.Event = ended) -> None:
            many.come()
            REFRESHED[act](company.desk, str(first.key), 0)
            ended.set()

        def come(worker: int, sub: str = sub, many: Meeting = many, ended: threading.Event = ended) -> list[object]:
            late: list[object] = []
            company.lets_in_at(worker, provider, sub)
            many.come()
            while len(late) < 3:
                is_late = ended.is_set()
                let_in = company.lets_in_at(worker, provider, sub)
                if is_late:
                    late.append(let_in)
            return late

        results = at_the_same_time(end, *(partial(come, number) for number in range(4)))

        assert results == [None, *[[False] * 3] * 4]


# ---- operators


def test_operators_who_give_users_the_same_identifiers_in_another_order_do_not_wait_for_each_other(
    company: Company,
) -> None:
    desks = [company.desk, Desk(company.world)]
    for turn in range(10 * ROUNDS):
        values = [f"{turn}-{number}" for number in range(40)]

        results = at_the_same_time(
            partial(desks[0].put, None, identifier=named(*values)),
            partial(desks[1].put, None, identifier=named(*reversed(values))),
        )

        assert sorted(type(result).__name__ for result in results) == ["Rejected", "ShownUser"]


def test_operators_who_rebind_a_system_and_let_in_its_users_do_not_wait_for_each_other(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    desks = [company.desk, Desk(company.world)]
    keys = [desks[0].put(None, identifier=named(f"x{number}", f"y{number}")).id for number in range(12)]
    for turn in range(5 * ROUNDS):
        issuer = f"https://{turn}.example"
        monkeypatch.setitem(SYSTEMS, "keycloak", issuer)

        rebound, changed = at_the_same_time(
            partial(desks[0].links.rebind, "keycloak", issuer),
            partial(desks[1].accounts.set_active, keys, turn % 2 == 1),
        )

        assert rebound == 24
        assert [outcome for outcome, _ in changed] == ["updated"] * 12


def person_of_one_address(db: SQLAlchemy) -> type:
    columns = {"id": sa.Column(sa.Integer, primary_key=True), "email": sa.Column(sa.String(80), unique=True)}
    return type("Person", (db.Model,), columns)


def test_an_operator_and_a_newcomer_who_bring_one_identifier_and_one_address_do_not_wait_for_each_other(
    server: str, databases: Databases, tmp_path: Path
) -> None:
    world = a_world(databases.empty(server, tmp_path), user_class=person_of_one_address, user_attributes=["email"])
    company = Company(world)
    for turn in range(10 * ROUNDS):
        key, said, sub = company.desk.put(None).id, {"email": f"ann{turn}@example.org"}, f"ann{turn}"
        meeting = Meeting(2)

        operated, found = at_the_same_time(
            after(meeting, partial(company.desk.put, key, identifier=named(sub), **said)),
            partial(company.arrive, a_provider(Tells(meeting, **said)), sub),
        )

        assert isinstance(found, UserSnapshot)
        assert (str(found.key) == key) is (operated is not None and not isinstance(operated, Rejected))
    closed(world)
