from __future__ import annotations

from dataclasses import fields

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
]


@pytest.mark.parametrize(("name", "given", "text", "value"), GOOD)
def test_a_setting_is_read_from_the_config_and_from_the_environment(
    name: str, given: object, text: str, value: object
) -> None:
    from_config = Settings.read({PREFIX + name: given}, {})
    from_environment = Settings.read({}, {PREFIX + name: text})

    assert getattr(from_config, name.lower()) == value
    assert from_environment == from_config


@pytest.mark.parametrize(("name", "given"), BAD)
def test_a_wrong_value_is_refused_by_name_and_with_one_that_works(name: str, given: object) -> None:
    with pytest.raises(ConfigError, match=rf"^{PREFIX}{name} (is|holds) .*; this works: .+"):
        Settings.read({PREFIX + name: given}, {})


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
    for item in fields(Settings):
        value = eval(item.metadata["works"])

        assert Settings.read({PREFIX + item.name.upper(): value}, {})
        assert item.metadata["meaning"]
