from __future__ import annotations

import secrets  # noqa: F401 - a value that works is made with it
from dataclasses import fields
from pathlib import PurePosixPath

import pytest

from flask_foreign_token.errors import ConfigError
from flask_foreign_token.settings import PREFIX, Settings

GOOD = [
    ("REGISTRY", "resources.json", "resources.json", "resources.json"),
    ("CREATE_USER", False, "false", False),
    ("OPTIONAL", True, "true", True),
    ("PROTECT", "all", "all", "all"),
    ("REALM", "patients", "patients", "patients"),
    ("REALM", "123", "123", "123"),
    ("RESOURCE", "https://api.example.com/v1", "https://api.example.com/v1", "https://api.example.com/v1"),
    ("REQUIRE_AUDIENCE", False, "false", False),
    ("TOKEN_CACHE_SIZE", 500, "500", 500),
    ("USER_TTL", 0, "0", 0.0),
    ("REGISTRY_POLL", 0.5, "0.5", 0.5),
    ("HTTP_TIMEOUT", (1, 2), "1,2", (1.0, 2.0)),
    ("HTTP_TIMEOUT", [1, 2.5], "[1, 2.5]", (1.0, 2.5)),
    ("ALLOW_HTTP_HOSTS", ["localhost", "Keycloak"], "localhost, Keycloak", ("localhost", "keycloak")),
    ("ALLOW_HTTP_HOSTS", "keycloak", '["keycloak"]', ("keycloak",)),
    ("KEY_GRACE", 60, "60", 60.0),
    ("SECRET_DIRS", ["/run/secrets", "/etc/app/"], "/run/secrets, /etc/app", ("/run/secrets", "/etc/app")),
    ("SECRET_DIRS", (PurePosixPath("/etc/app"),), '["/etc/app"]', ("/etc/app",)),
    ("SECRET_DIRS", "/etc/app", "/etc/app", ("/etc/app",)),
    ("SECRET_DIRS", [], "", ()),
    ("SECRET_ENV", ["LOGIN_SECRET", "PROVIDER_*"], "LOGIN_SECRET,PROVIDER_*", ("LOGIN_SECRET", "PROVIDER_*")),
    ("SECRET_ENV", ["*"], "*", ("*",)),
    ("SECRET_ENV", [], "", ()),
    ("DEV_MODE", True, "true", True),
    ("SQL_URI", "sqlite:////var/lib/app.db", "sqlite:////var/lib/app.db", "sqlite:////var/lib/app.db"),
    (
        "SQL_URI",
        "postgresql+psycopg://r:p@db/app",
        "postgresql+psycopg://r:p@db/app",
        "postgresql+psycopg://r:p@db/app",
    ),
    ("SQL_URI", "mariadb+pymysql://r@db/app", "mariadb+pymysql://r@db/app", "mariadb+pymysql://r@db/app"),
    ("ADMIN_URL_PREFIX", "/fhir", "/fhir", "/fhir"),
    ("ADMIN_URL_PREFIX", "/v1/admin", "/v1/admin", "/v1/admin"),
]

BAD = [
    ("REGISTRY", ""),
    ("CREATE_USER", "yes"),
    ("CREATE_USER", 1),
    ("PROTECT", "some"),
    ("REALM", 'say "hi"'),
    ("REALM", "a\r\nSet-Cookie: b"),
    ("REALM", "münchen"),
    ("RESOURCE", "api"),
    ("RESOURCE", "https://api.example.com/#part"),
    ("RESOURCE", "https://api.example.com/?a=b"),
    ("RESOURCE", 'https://api.example.com/"'),
    ("RESOURCE", "https://api.example.com/<id>"),
    ("TOKEN_CACHE_SIZE", 1),
    ("TOKEN_CACHE_SIZE", 500.5),
    ("TOKEN_CACHE_SIZE", True),
    ("USER_TTL", -1),
    ("USER_TTL", float("nan")),
    ("HTTP_TIMEOUT", 3),
    ("HTTP_TIMEOUT", (3, 0)),
    ("HTTP_TIMEOUT", (3, 5, 7)),
    ("ALLOW_HTTP_HOSTS", [""]),
    ("ALLOW_HTTP_HOSTS", 7),
    ("ALLOW_HTTP_HOSTS", [7]),
    ("ALLOW_HTTP_HOSTS", ["keycloak:8080"]),
    ("ALLOW_HTTP_HOSTS", "http://keycloak"),
    ("KEY_GRACE", "long"),
    ("SECRET_DIRS", ["secrets"]),
    ("SECRET_DIRS", ["/run/secrets", ""]),
    ("SECRET_DIRS", ["/"]),
    ("SECRET_DIRS", ["/run/.."]),
    ("SECRET_DIRS", "//"),
    ("SECRET_DIRS", [7]),
    ("SECRET_DIRS", 7),
    ("SECRET_ENV", ["LOGIN-SECRET"]),
    ("SECRET_ENV", ["*_SECRET"]),
    ("SECRET_ENV", [""]),
    ("SECRET_ENV", ["9"]),
    ("SECRET_ENV", "LOGIN_SECRET=hush"),
    ("SECRET_ENV", ["FOREIGN_TOKEN_ADMIN_CLIENT_SECRET"]),
    ("SECRET_ENV", ["foreign_token_*"]),
    ("SECRET_ENV", 7),
    ("DEV_MODE", "yes"),
    ("SQL_URI", "app.db"),
    ("SQL_URI", 7),
    ("SQL_URI", "postgresql+psycopg://db:port/app"),
    ("SQL_URI", "postgresql://db/app"),
    ("SQL_URI", "mysql+mysqldb://db/app"),
    ("SQL_URI", "oracle+oracledb://db/app"),
    ("SQL_URI", "sqlite://"),
    ("SQL_URI", "sqlite:///:memory:"),
    ("SQL_URI", "sqlite:///app.db"),
    ("SQL_URI", "sqlite:///file:app?mode=memory&uri=true"),
    ("SQL_URI", "sqlite:////var/lib/app.db?mode=rwc"),
    ("ADMIN_URL_PREFIX", "fhir"),
    ("ADMIN_URL_PREFIX", "/"),
    ("ADMIN_URL_PREFIX", "/fhir/"),
    ("ADMIN_URL_PREFIX", "//fhir"),
    ("ADMIN_URL_PREFIX", "/<tenant>"),
    ("ADMIN_URL_PREFIX", "/fhir?a=b"),
    ("ADMIN_CLIENT_ID", ""),
    ("ADMIN_CLIENT_ID", "clinic:operator"),
    ("ADMIN_CLIENT_ID", "opera\ntor"),
    ("ADMIN_CLIENT_SECRET", "fifteen bytes ."),
    ("ADMIN_CLIENT_SECRET", 1234567890123456),
    ("ADMIN_CLIENT_SECRET", "with a line\nbreak in it"),
]


@pytest.mark.parametrize(("name", "given", "text", "value"), GOOD)
def test_a_setting_is_read_from_the_config_and_from_the_environment(
    name: str, given: object, text: str, value: object
) -> None:
    from_config = Settings.read({PREFIX + name: given}, {})
    from_environment = Settings.read({}, {PREFIX + name: text})

    assert getattr(from_config, name.lower()) == value
    assert from_environment == from_config


@pytest.mark.requirement("RFC 9728", "2")
@pytest.mark.parametrize(("name", "given"), BAD)
def test_a_wrong_value_is_refused_by_name_and_with_one_that_works(name: str, given: object) -> None:
    with pytest.raises(ConfigError, match=rf"^{PREFIX}{name} (is|holds) .*; this works: .+") as refused:
        Settings.read({PREFIX + name: given}, {})
    assert "SECRET" not in name or str(given) not in str(refused.value)


def test_a_driver_that_is_not_supported_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"sqlite, postgresql\+psycopg, mysql\+pymysql, mariadb\+pymysql;") as refused:
        Settings.read({}, {PREFIX + "SQL_URI": "postgresql://reader:the-password@db/app"})

    assert "the-password" not in str(refused.value)


@pytest.mark.parametrize("source", ["config", "environ"])
def test_a_misspelt_setting_is_refused_with_its_nearest(source: str) -> None:
    sources: dict[str, dict[str, str]] = {"config": {}, "environ": {}}
    sources[source]["FOREIGN_TOKEN_CREATE_USERS"] = "true"

    with pytest.raises(ConfigError, match=r"FOREIGN_TOKEN_CREATE_USERS .* FOREIGN_TOKEN_CREATE_USER$"):
        Settings.read(**sources)


def test_the_config_wins_over_the_environment() -> None:
    settings = Settings.read({"FOREIGN_TOKEN_REALM": "config"}, {"FOREIGN_TOKEN_REALM": "environment"})

    assert settings.realm == "config"


def test_every_setting_says_what_it_means_and_a_value_that_works() -> None:
    config = {PREFIX + item.name.upper(): eval(item.metadata["works"]) for item in fields(Settings)}

    assert Settings.read(config, {})
    assert all(item.metadata["meaning"] for item in fields(Settings))


@pytest.mark.parametrize("secret", ["sixteen bytes ..", "äöüäöüäö", "1234567890123456"])
def test_an_operator_has_a_name_and_a_secret_of_16_bytes(secret: str) -> None:
    environ = {f"{PREFIX}ADMIN_CLIENT_ID": "operator", f"{PREFIX}ADMIN_CLIENT_SECRET": secret}

    settings = Settings.read({}, environ)

    assert (settings.admin_client_id, settings.admin_client_secret) == ("operator", secret)
    assert secret not in repr(settings)


@pytest.mark.parametrize(("given", "missing"), [("ID", "SECRET"), ("SECRET", "ID")])
def test_half_an_operator_is_refused_with_the_half_that_is_missing(given: str, missing: str) -> None:
    value = "a text of enough bytes"

    with pytest.raises(ConfigError, match=rf"^{PREFIX}ADMIN_CLIENT_{missing} is missing.*; this works: ") as refused:
        Settings.read({f"{PREFIX}ADMIN_CLIENT_{given}": value}, {})

    assert value not in str(refused.value)
