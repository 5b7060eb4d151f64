"""What is taken for a secret where a reference leads to a variable or a file, and how long it counts as the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import make_url

from flask_foreign_token.registry.secret_sources import MAX_OCTETS, Reading, Readings, SecretSources

from .secret_places import HUSH, in_file, in_variable, read, read_variable, sources, written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "secrets"
    made.mkdir()
    return made


# ---- variables


def test_a_variable_is_read_as_it_stands() -> None:
    assert read_variable("LOGIN_SECRET", LOGIN_SECRET=f" {HUSH}\n").text == f" {HUSH}\n"


def test_a_variable_that_is_not_set_is_absent() -> None:
    reading = read_variable("LOGIN_SECRET")

    assert (reading.text, reading.is_absent) == (None, True)
    assert reading.fault == "the environment variable LOGIN_SECRET is not set"


@pytest.mark.parametrize(
    "name",
    [
        "FOREIGN_TOKEN_ADMIN_CLIENT_SECRET",
        "FOREIGN_TOKEN_SQL_URI",
        "FOREIGN_TOKEN_",
        "foreign_token_admin_client_secret",
    ],
)
@pytest.mark.parametrize("variables", [None, ["*"], ["FOREIGN_*"]], ids=["any", "star", "prefix"])
def test_no_setting_of_this_extension_can_be_named(name: str, variables: list[str] | None) -> None:
    reading = read_variable(name, variables, **{name: HUSH})

    assert (reading.text, reading.is_absent) == (None, False)
    assert name in reading.fault
    assert HUSH not in reading.fault


@pytest.mark.parametrize("variables", [["LOGIN_SECRET"], ["OTHER", "LOGIN_*"], ["*"], None], ids=str)
def test_a_variable_that_may_be_named_is_read(variables: list[str] | None) -> None:
    assert read_variable("LOGIN_SECRET", variables, LOGIN_SECRET=HUSH).text == HUSH


@pytest.mark.parametrize("variables", [[], ["LOGIN"], ["LOGIN_SECRETS"], ["login_secret"], ["OGIN_*"]], ids=str)
@pytest.mark.parametrize("environ", [{"LOGIN_SECRET": HUSH}, {}], ids=["set", "unset"])
def test_no_other_is_and_nobody_learns_whether_it_is_set(variables: list[str], environ: dict[str, str]) -> None:
    reading = read_variable("LOGIN_SECRET", variables, **environ)

    assert (reading.text, reading.is_absent) == (None, False)
    assert "FOREIGN_TOKEN_SECRET_ENV" in reading.fault


def test_a_variable_must_be_utf_8_and_no_larger_than_a_file() -> None:
    assert read_variable("A", A=b"\xff".decode(errors="surrogateescape")).fault.endswith("does not hold text in UTF-8")
    assert read_variable("A", A="x" * (MAX_OCTETS + 1)).fault.endswith("holds more than 64 KiB")
    assert read_variable("A", A="x" * MAX_OCTETS).text == "x" * MAX_OCTETS


# ---- what a file holds


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        ("hush", "hush"),
        ("hush\n", "hush"),
        ("hush\r\n", "hush"),
        ("hush\n\n", "hush\n"),
        ("hush\r", "hush\r"),
        (" hush ", " hush "),
        ("\n", ""),
        ("", ""),
        ("h\u00fc\u00dfch\n", "h\u00fc\u00dfch"),
    ],
    ids=repr,
)
def test_one_newline_at_the_end_of_a_file_is_not_part_of_the_secret(folder: Path, content: str, secret: str) -> None:
    assert read(written(folder / "secret", content), folder).text == secret


def test_a_file_that_is_not_utf_8_is_refused(folder: Path) -> None:
    reading = read(written(folder / "secret", b"hush\xff"), folder)

    assert (reading.text, reading.is_absent) == (None, False)
    assert reading.fault == f"the file {folder}/secret does not hold text in UTF-8"


def test_a_file_may_have_64_kib_and_no_more(folder: Path) -> None:
    assert read(written(folder / "most", "x" * MAX_OCTETS), folder).text == "x" * MAX_OCTETS
    reading = read(written(folder / "more", "x" * (MAX_OCTETS + 1)), folder)
    assert (reading.text, reading.is_absent, "more than 64 KiB" in reading.fault) == (None, False, True)


def test_of_a_huge_file_no_more_is_read_than_that(folder: Path) -> None:
    with (folder / "huge").open("wb") as huge:
        huge.truncate(1 << 40)

    assert "more than 64 KiB" in read(folder / "huge", folder).fault


# ---- secrets of the app's own

OWN_URL = "postgresql+psycopg://keeper:p%40ss+w%3Ard@db.example/patients"
OWN_SECRETS = [
    pytest.param(HUSH, HUSH, id="text"),
    pytest.param(f"{HUSH}\n", HUSH, id="text with a newline"),
    pytest.param(b"hush\xc3\xbc-octets", "hush\u00fc-octets", id="octets"),
    pytest.param(["a fallback", HUSH], HUSH, id="list"),
    pytest.param((HUSH,), HUSH, id="tuple"),
    pytest.param(OWN_URL, OWN_URL, id="address"),
    pytest.param(OWN_URL, "p%40ss+w%3Ard", id="password as it is written"),
    pytest.param(OWN_URL, "p@ss+w:rd", id="password"),
    pytest.param(OWN_URL, "postgres://keeper:p%40ss+w%3Ard@other.example", id="another address with it"),
    pytest.param(make_url(OWN_URL), OWN_URL, id="parsed address"),
    pytest.param(make_url(OWN_URL), "p@ss+w:rd", id="password of a parsed address"),
    pytest.param("postgresql+psycopg://u:pw@db/x", "postgres://u:pw@db/x", id="another address with a short password"),
    pytest.param("mysql+pymysql://db/x?user=u&password=p%40ss+word", "p@ss word", id="password as a parameter"),
    pytest.param("sqlite:////var/lib/patients.db", "sqlite:////var/lib/patients.db", id="address without a password"),
    pytest.param({"users": OWN_URL}, OWN_URL, id="address of a bind"),
    pytest.param({"users": {"url": make_url(OWN_URL)}}, "p@ss+w:rd", id="password of a bind"),
    pytest.param({"connect_args": {"password": HUSH}}, HUSH, id="password among options"),
]


def read_beside(own: object, text: str) -> Reading:
    """A variable with `text`, of an app with a setting `own` that is secret."""
    return SecretSources((), None, {"OTHER": text}, lambda: [None, own]).read(in_variable("OTHER"))


@pytest.mark.parametrize(("own", "text"), OWN_SECRETS)
@pytest.mark.parametrize("around", ["{}", "{}\n", "Basic {}", "[1, '{}']"], ids=["is", "newline", "ends", "within"])
def test_what_is_or_holds_a_secret_of_the_apps_own_is_refused(own: object, text: str, around: str) -> None:
    reading = read_beside(own, around.format(text))

    assert (reading.text, reading.is_absent) == (None, False)
    assert reading.fault == "the environment variable OTHER is a secret of the app's own, which no resource may name"


@pytest.mark.parametrize("content", [HUSH, f"{HUSH}\n", f"name:{HUSH}\n"], ids=["is", "newline", "ends"])
def test_so_it_is_in_a_file(folder: Path, content: str) -> None:
    file = written(folder / "secret", content)

    reading = SecretSources([str(folder)], None, {}, lambda: [HUSH]).read(in_file(file))

    assert (reading.text, reading.is_absent) == (None, False)
    assert reading.fault == f"the file {file} is a secret of the app's own, which no resource may name"


@pytest.mark.parametrize(
    "own",
    [
        "another secret of the app",
        b"\x00\xff\xfe octets",
        "\ud800 no text at all",
        "postgresql://keeper@db/login",
        "postgresql://keeper:@db/login",
        "postgresql://keeper:db-password@db/login",
        {"connect_args": {"application_name": "login-secret", "password": None}, "pool_size": 5, "hook": print},
        {"login": "login-secret"},
        [],
        "",
        " \n",
        12345678,
    ],
    ids=repr,
)
def test_a_secret_that_equals_none_of_them_is_read(own: object) -> None:
    assert read_beside(own, "the login-secret 12345678").text == "the login-secret 12345678"


@pytest.mark.parametrize("text", ["", " ", "dev", "a developer's secret"], ids=repr)
def test_nothing_blank_is_taken_for_an_own_secret_that_is_blank(text: str) -> None:
    assert read_beside("  ", text).text == text


def test_an_own_secret_of_less_than_eight_characters_is_not_looked_for_within_another() -> None:
    assert read_beside("develop", "a developer's secret").text == "a developer's secret"
    assert read_beside("develops", "he develops").text is None
    assert [read_beside("develop", text).text for text in ("develop", " develop\n")] == [None, None]


def test_own_secrets_are_asked_for_at_each_reading() -> None:
    own: list[object] = []
    places = SecretSources((), None, {"OTHER": HUSH}, lambda: own)
    before = places.read(in_variable("OTHER"))

    own.append(HUSH)

    assert before.text == HUSH
    assert places.read(in_variable("OTHER")).text is None


# ---- readings


def test_within_one_snapshot_a_reference_is_followed_once(folder: Path) -> None:
    secret = in_file(written(folder / "secret", "before"))
    readings = Readings(sources(folder))
    first = readings.of(secret)
    written(folder / "secret", "after")

    assert readings.of(secret) is first
    assert readings.text(secret) == "before"


def test_what_reads_the_same_keeps_its_generation(folder: Path) -> None:
    secret = in_file(written(folder / "secret", "same"))
    before = Readings(sources(folder))
    before.of(secret)
    written(folder / "secret", "same\n")

    after = Readings(sources(folder), before.read)

    assert after.of(secret).generation == before.of(secret).generation


def test_what_reads_otherwise_gets_another_and_so_it_does_when_it_comes_back(folder: Path) -> None:
    secret, readings = in_file(folder / "secret"), Readings(sources(folder))
    generations = []
    for content in ("one", "two", "one", None):
        if content is None:
            (folder / "secret").unlink()
        else:
            written(folder / "secret", content)
        readings = Readings(sources(folder), readings.read)
        generations.append(readings.of(secret).generation)

    assert len(set(generations)) == 4


def test_a_reading_does_not_show_the_secret(folder: Path) -> None:
    reading = read(written(folder / "secret", HUSH), folder)

    assert reading.text == HUSH
    assert HUSH not in repr(reading)


def test_two_processes_call_the_same_content_differently(folder: Path) -> None:
    secret = in_file(written(folder / "secret", HUSH))

    assert Readings(sources(folder)).of(secret).generation != Readings(sources(folder)).of(secret).generation
