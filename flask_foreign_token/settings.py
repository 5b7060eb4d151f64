"""The typed settings: read once, checked, and never looked up again.

A setting comes from ``app.config`` or, where it is absent there, from the environment variable of the same name.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from .errors import CHALLENGE_CHARACTERS, ConfigError
from .http import host_name
from .policies.sql.server import KINDS
from .registry.fields import VARIABLE
from .sealing import MIN_KEY

PREFIX = "FOREIGN_TOKEN_"
MIN_SECRET = 16
"""Bytes of the shortest secret that the operator may have."""
CACHE_SCHEMES = ("redis", "rediss", "unix", "valkey", "valkeys")
"""How the address of a shared cache may begin."""

_VARIABLES = re.compile(rf"{VARIABLE}\*?|\*")
_DATABASE = re.compile(r"[0-9]*")
_URL_CHARACTERS = CHALLENGE_CHARACTERS - set(" <>{}|^`?#")


def is_own(variable: str) -> bool:
    """Whether a variable of that name may be a setting; the operator's password is one. No resource may name it."""
    return variable.upper().startswith(PREFIX)


class _Wrong(ValueError):
    """The value does not fit; the caller knows the setting's name."""


def _setting(default: object, check: Callable[[Any], object], works: str, meaning: str, *, secret: bool = False) -> Any:
    """A field of :class:`Settings`.

    :param check: takes the value given and returns the one to use.
    :param works: a value that works, as it is written in ``app.config``.
    :param meaning: one line for the table of settings.
    :param secret: whether the value must not be shown.
    """
    return field(default=default, repr=not secret, metadata={"check": check, "works": works, "meaning": meaning})


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise _Wrong("is not true or false")


def _text(value: object) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise _Wrong("is not a text with something in it")


def _place(value: object) -> str:
    return _text(os.fspath(value) if isinstance(value, os.PathLike) else value)


def _challenge_text(value: object) -> str:
    text = _text(value)
    if CHALLENGE_CHARACTERS.issuperset(text):
        return text
    raise _Wrong("is not made of the characters that a challenge can carry (RFC 6750, section 3)")


def _all_or_none(value: object) -> str | None:
    if value is None or value == "all":
        return "all" if value else None
    raise _Wrong("is neither None nor 'all'")


def _number(least: float, most: float, kind: type = float) -> Callable[[object], float]:
    def check(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _Wrong("is not a number")
        if kind is int and value != int(value):
            raise _Wrong("is not a whole number")
        if not least <= value <= most:
            raise _Wrong(f"is not between {least:g} and {most:g}")
        return kind(value)  # type: ignore[no-any-return]

    return check


def _hosts(value: object) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise _Wrong("is not a list of host names")
    try:
        return tuple(host_name(item.strip()) for item in items)
    except ValueError as reason:
        raise _Wrong(f"holds what {reason}") from None


def _folders(value: object) -> tuple[str, ...]:
    paths = [PurePath(os.path.normpath(item)) for item in _items(value, "folders")]
    if not all(path.is_absolute() for path in paths):
        raise _Wrong("holds a path that is not absolute")
    if any(path == path.parent for path in paths):
        raise _Wrong("holds the root, and with it every file there is")
    return tuple(map(str, paths))


def _variables(value: object) -> tuple[str, ...]:
    names = _items(value, "names of environment variables")
    for name in names:
        if not _VARIABLES.fullmatch(name):
            raise _Wrong("holds what is no name of an environment variable, nor the begin of one with * behind it")
        if is_own(name):
            raise _Wrong("holds a setting of this extension, which no resource may name")
    return tuple(names)


def _items(value: object, what: str) -> list[str]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str | os.PathLike) for item in items):
        raise _Wrong(f"is not a list of {what}")
    return [str(item).strip() for item in items]


def _timeouts(value: object) -> tuple[float, float]:
    if isinstance(value, list | tuple) and len(value) == 2:
        seconds = _number(0.05, 120)
        return seconds(value[0]), seconds(value[1])
    raise _Wrong("is not a pair of seconds")


def _resource(value: object) -> str:
    """An absolute URL that a challenge can carry, without query and fragment (:rfc:`9728#section-2`)."""
    text = _text(value)
    parts = urlsplit(text)
    if parts.scheme in ("https", "http") and parts.netloc and _URL_CHARACTERS.issuperset(text):
        return text
    raise _Wrong("is not an absolute URL without query and fragment")


def _url_prefix(value: object) -> str:
    text = _text(value)
    if text.startswith("/") and not text.endswith("/") and "//" not in text and _URL_CHARACTERS.issuperset(text):
        return text
    raise _Wrong("is not a path that begins with a slash and does not end with one")


def _cache_url(value: object) -> str:
    text = _text(value)
    scheme, separator, rest = text.partition("://")
    if scheme not in CACHE_SCHEMES or not separator or not rest:
        raise _Wrong(f"is not an address that begins with {'://, '.join(CACHE_SCHEMES)}://")
    if scheme != "unix" and not _DATABASE.fullmatch(rest.partition("?")[0].partition("/")[2]):
        # redis-py would take it for the database 0.
        raise _Wrong("has something behind its host that is no number of a database")
    return text


def _cache_key(value: object) -> str:
    text = _text(value)
    if len(text.encode(errors="surrogatepass")) < MIN_KEY:
        raise _Wrong(f"is shorter than {MIN_KEY} bytes")
    return text


def _sql_uri(value: object) -> str:
    text = _text(value)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise _Wrong("is not the URL of a database") from None
    if url.drivername not in KINDS:
        raise _Wrong(f"is not for one of the drivers {', '.join(KINDS)}")
    if url.drivername == "sqlite" and (url.query or not PurePath(url.database or "").is_absolute()):
        # A database in memory would be another one, and empty.
        raise _Wrong("is not the absolute path of a file, with four slashes and without ? (sqlite:////var/lib/app.db)")
    return text


def _basic_text(value: object) -> str:
    text = _text(value)
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise _Wrong("is not a text that Basic can carry: it has a control character (RFC 7617, section 2)")
    return text


def _client_id(value: object) -> str:
    text = _basic_text(value)
    if ":" in text:
        raise _Wrong("is not a name that Basic can carry: it has a colon (RFC 7617, section 2)")
    return text


def _client_secret(value: object) -> str:
    text = _basic_text(value)
    if len(text.encode()) < MIN_SECRET:
        raise _Wrong(f"is shorter than {MIN_SECRET} bytes")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the operator decided; each field is the setting ``FOREIGN_TOKEN_<NAME>``."""

    registry: str = _setting(
        "database", _place, "'database'", "where resources are kept: the database, or a JSON file's path"
    )
    create_user: bool = _setting(True, _boolean, "True", "create a user when a subject is first seen")
    optional: bool = _setting(False, _boolean, "False", "let a wrong token pass as anonymous where no guard stands")
    protect: str | None = _setting(None, _all_or_none, "'all'", "'all': every view needs a policy that allows it")
    realm: str | None = _setting(None, _challenge_text, "'api'", "the realm in challenges; none: the app's name")
    resource: str | None = _setting(
        None,
        _resource,
        "'https://api.example.com'",
        "this API's identifier: the default audience; serves RFC 9728 metadata",
    )
    require_audience: bool = _setting(
        True, _boolean, "True", "refuse an introspector of JWTs that accepts those meant for another API"
    )
    cache_url: str | None = _setting(
        None,
        _cache_url,
        "'redis://cache.example.com:6379/0'",
        "the Redis or Valkey in which workers share what they fetch; none: each fetches for itself",
        secret=True,
    )
    cache_key: str | None = _setting(
        None,
        _cache_key,
        "secrets.token_urlsafe(32)",
        f"authenticates what is shared, at least {MIN_KEY} bytes, the same for every worker",
        secret=True,
    )
    token_cache_size: int = _setting(10_000, _number(100, 10_000_000, int), "10_000", "verified tokens kept in memory")
    user_ttl: float = _setting(30.0, _number(0, 3600), "30", "seconds for which a user's snapshot is believed")
    registry_poll: float = _setting(1.0, _number(0, 3600), "1", "seconds between two looks at the registry")
    http_timeout: tuple[float, float] = _setting(
        (3.0, 5.0), _timeouts, "(3, 5)", "seconds to connect, and for a whole exchange with a provider"
    )
    allow_http_hosts: tuple[str, ...] = _setting(
        ("localhost", "127.0.0.1", "::1"), _hosts, "['localhost', 'keycloak']", "hosts that may be called without TLS"
    )
    key_grace: float = _setting(
        3600.0, _number(0, 604_800), "3600", "seconds for which old keys serve while a provider is down"
    )
    secret_dirs: tuple[str, ...] = _setting(
        ("/run/secrets",),
        _folders,
        "['/run/secrets']",
        'folders in which files are that resources may name as `{"file": "…"}`, links followed',
    )
    secret_env: tuple[str, ...] | None = _setting(
        None,
        _variables,
        "['LOGIN_SECRET', 'PROVIDER_*']",
        'variables that resources may name as `{"env": "…"}`; none: any but `FOREIGN_TOKEN_*`, which never may be',
    )
    sql_uri: str | None = _setting(
        None,
        _sql_uri,
        "'postgresql+psycopg://reader@db.example.com/app'",
        "the database that policies of the engine `sql` ask, as a role that can only read; none: that engine is off",
        secret=True,
    )
    dev_mode: bool = _setting(
        False, _boolean, "False", "show whoever asks why policies allow or deny; never where others can reach the app"
    )
    admin_url_prefix: str | None = _setting(
        None, _url_prefix, "'/fhir'", "where the operator's REST API is mounted; none: nowhere"
    )
    admin_client_id: str | None = _setting(
        None, _client_id, "'operator'", "the operator's name, for Basic; none: nobody signs in with Basic"
    )
    admin_client_secret: str | None = _setting(
        None,
        _client_secret,
        "secrets.token_urlsafe(24)",
        f"the operator's password, at least {MIN_SECRET} bytes",
        secret=True,
    )

    @classmethod
    def read(cls, config: Mapping[str, object], environ: Mapping[str, str]) -> Settings:
        """Read and check every setting.

        :raises ConfigError: one is misspelt, of the wrong type or out of range, or one is missing that another needs;
            names it and a value that works.
        """
        known = {PREFIX + item.name.upper(): item for item in fields(cls)}
        for name in [*config, *environ]:
            if isinstance(name, str) and name.startswith(PREFIX) and name not in known:
                raise ConfigError(_unknown(name, list(known)))
        values: dict[str, Any] = {}
        for name, item in known.items():
            if config.get(name) is not None:
                values[item.name] = _checked(name, item, [config[name]])
            elif name in environ:
                values[item.name] = _checked(name, item, _readings(environ[name]))
        settings = cls(**values)
        for given, needed in (_OPERATOR, _OPERATOR[::-1]):
            if getattr(settings, given) is not None and getattr(settings, needed) is None:
                works = known[PREFIX + needed.upper()].metadata["works"]
                raise ConfigError(
                    f"{PREFIX}{needed.upper()} is missing, since {PREFIX}{given.upper()} is given; this works: {works}"
                )
        return settings


_OPERATOR = ("admin_client_id", "admin_client_secret")


def _checked(name: str, item: Field[Any], readings: list[object]) -> object:
    """The first of `readings` that fits."""
    reason = ""
    for value in readings:
        try:
            return item.metadata["check"](value)
        except _Wrong as wrong:
            reason = str(wrong)
    raise ConfigError(f"{name} {reason}; this works: {item.metadata['works']}")


def _readings(text: str) -> list[object]:
    """What an environment variable may mean: JSON, numbers separated by commas, a text."""
    readings: list[object] = []
    for candidate in (text, f"[{text}]"):
        with contextlib.suppress(ValueError):
            readings.append(json.loads(candidate))
    return [*readings, text]


def _unknown(name: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    return f"{name} is no setting of this version; the nearest is {nearest}"
