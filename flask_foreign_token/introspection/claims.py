"""What verified claims must say before they are believed (:rfc:`7519#section-4.1`, :rfc:`8725#section-3`).

A claim of the wrong type is refused, never taken for an absent one. Each refusal is an
:class:`~flask_foreign_token.errors.InvalidToken` that names the claim and quotes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from ..errors import InvalidToken

END_OF_TIME = 253_402_300_800
"""The year 10 000 in seconds since the epoch; beyond it no calendar goes, and what does is mostly in milliseconds."""
MAX_SUBJECT = 255
"""Characters of a subject (:rfc:`7519#section-4.1.2` has no limit; OpenID Connect Core section 2 has this one)."""

_ACCESS_TOKEN_TYPES = ("jwt", "at+jwt")
_REQUIRED_OF_AT_JWT = ("iss", "exp", "aud", "sub", "iat", "jti")
_OTHER_KINDS = ("id", "refresh", "offline", "logout")
_OTHER_USES = ("id", "refresh", "id_token", "refresh_token")
_OTHER_KINDS_CLAIMS = ("at_hash", "c_hash", "events", "token_introspection")
_FOREIGN = (
    "another resource names that issuer: give jwt.iss to the introspector, or link it to the provider of that issuer"
)
_ARRAY = (list, tuple)
_NUMBER = (int, float)
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

Claims = Mapping[str, object]


def check_kind(header: Claims, claims: Claims, typ: str | None) -> None:
    """Refuse what an issuer signs for another purpose than access (:rfc:`8725#section-3.12`).

    :param typ: the media type that the header must name; without it, or when it is one that access tokens have,
        ID tokens, refresh tokens, logout tokens and introspection answers are refused. Where ``at+jwt`` is asked for,
        the token has every claim that this type promises (:rfc:`9068#section-2.2`).
    :raises InvalidToken: the token is of another kind, or bound to a key that the request cannot show to have.
    """
    found = _text(header, "typ")
    if found is None and typ is not None:
        raise InvalidToken("the header has no typ")
    wanted = _ACCESS_TOKEN_TYPES if typ is None else (media_type(typ),)
    if found is not None and media_type(found) not in wanted:
        raise InvalidToken("the typ of the header is not the one of an access token")
    if wanted[0] in _ACCESS_TOKEN_TYPES:
        _check_access_token(claims)
    if wanted == ("at+jwt",):
        _check_completeness(claims)
    _check_unbound(claims)


def check_kind_of_answer(answer: Claims, token_type: Literal["Bearer"] | None = None) -> None:
    """Refuse what an introspection endpoint calls active and is not for access (:rfc:`7662#section-2.2`).

    :param answer: all members of it.
    :param token_type: what it must name as that; `None`: it may also name none.
    :raises InvalidToken: it is about a token of another kind, of a type other than Bearer, or bound to a key that the
        request cannot show to have.
    """
    _check_unbound(answer)
    found = _text(answer, "token_type")
    fits = token_type is None if found is None else found.lower() == "bearer"
    if not fits:
        raise InvalidToken("the token_type is not Bearer")
    _check_access_token(answer)


def _check_access_token(claims: Claims) -> None:
    if "typ" in claims and (_text(claims, "typ") or "").lower() in _OTHER_KINDS:
        raise InvalidToken("the claim typ is not the one of an access token")
    # Cognito signs ID tokens and access tokens with one key; token_use tells them apart. Ory Hydra says of a refresh
    # token that it is active and of type Bearer, and there what it is. Simple JWT has token_type for it.
    for name in ("token_use", "token_type"):
        if name in claims and (_text(claims, name) or "").lower() in _OTHER_USES:
            raise InvalidToken(f"the claim {name} is not the one of an access token")
    for name in _OTHER_KINDS_CLAIMS:
        if name in claims:
            raise InvalidToken(f"a token with {name} is not an access token")


def _check_completeness(claims: Claims) -> None:
    for name in _REQUIRED_OF_AT_JWT:
        if name not in claims:
            raise InvalidToken(f"{name} is missing")
    # Keycloak names the client of a user's token in azp alone.
    if "client_id" not in claims and "azp" not in claims:
        raise InvalidToken("client_id is missing")


def _check_unbound(claims: Claims) -> None:
    # RFC 9449 section 7.2, RFC 8705 section 3: whoever holds such a token may have stolen it.
    if "cnf" in claims or ("token_type" in claims and (_text(claims, "token_type") or "").lower() == "dpop"):
        raise InvalidToken("a token that is bound to a key is not supported")


def media_type(name: str) -> str:
    """The `typ` of a header without what does not count in it (:rfc:`7515#section-4.1.9`)."""
    return name.lower().removeprefix("application/")


def check_issuer(claims: Claims, issuer: str) -> None:
    """Check that `iss` is `issuer`, character by character.

    :raises InvalidToken: it is another, missing, or not a text.
    """
    if claims.get("iss") != issuer:
        raise InvalidToken("iss is not the issuer")


def check_stated_issuer(claims: Claims, issuer: str | None, foreign_issuers: Collection[str] = ()) -> None:
    """As :func:`check_issuer`, for answers that leave `iss` out; one that is there must fit, or with no `issuer` be
    none of `foreign_issuers`.

    :raises InvalidToken: it is another, or not a text.
    """
    found = _text(claims, "iss")
    if found is None:
        return
    if issuer is not None:
        check_issuer(claims, issuer)
    elif found in foreign_issuers:
        raise InvalidToken("iss is not the issuer", hint=_FOREIGN)


def check_times(claims: Claims, now: float, leeway: float, *, default: float | None = None) -> float:
    """Check `exp`, `nbf` and `iat` against `now`, and return `exp`. All in seconds.

    :param leeway: how far the clocks may be apart.
    :param default: what a missing `exp` counts as; `None`: it must be there.
    :raises InvalidToken: `exp` is missing or past, another lies ahead, or one is not a time.
    """
    expires_at = time_of(claims, "exp")
    if expires_at is None:
        expires_at = default
    if expires_at is None:
        raise InvalidToken("exp is missing")
    if now >= expires_at + leeway:
        raise InvalidToken("the token has expired")
    for name in ("nbf", "iat"):
        begins_at = time_of(claims, name) if name in claims else None
        if begins_at is not None and begins_at > now + leeway:
            raise InvalidToken(f"{name} lies ahead")
    return expires_at


def time_of(claims: Claims, name: str) -> float | None:
    """The claim `name` in seconds since the epoch, if it is there.

    :raises InvalidToken: it is not a number from 0 to :data:`END_OF_TIME`.
    """
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, _NUMBER) or not 0 <= value < END_OF_TIME:
        raise InvalidToken(f"{name} is not a time")
    return float(value)


def check_audience(claims: Claims, audiences: Collection[str]) -> None:
    """Check that `aud` names one of `audiences`, or with none of them that it is well formed.

    :raises InvalidToken: the token is for somebody else (:rfc:`7519#section-4.1.3`).
    """
    found = _audiences(claims)
    if audiences and not found:
        raise InvalidToken("aud is missing")
    if not audiences:
        return
    for audience in found:
        if audience in audiences:
            return
    raise InvalidToken("aud names another audience")


def check_stated_audience(claims: Claims, audiences: Collection[str]) -> None:
    """As :func:`check_audience`, for providers that leave `aud` out; one that is there must fit.

    :raises InvalidToken: the token is for somebody else.
    """
    if "aud" in claims:
        check_audience(claims, audiences)


def _audiences(claims: Claims) -> Sequence[str]:
    if "aud" not in claims:
        return []
    value = claims["aud"]
    if isinstance(value, str):
        return [value]
    if not isinstance(value, _ARRAY) or not value:
        raise InvalidToken("aud is neither a text nor a list of texts")
    for audience in value:
        if not isinstance(audience, str):
            raise InvalidToken("aud is neither a text nor a list of texts")
    return value


def check_client(claims: Claims, client_ids: Collection[str]) -> None:
    """Check that `azp`, or without it `client_id`, is one of `client_ids`, if there are any.

    :raises InvalidToken: the token was issued to another client.
    """
    authorized_party = _text(claims, "azp")
    client_id = _text(claims, "client_id") if "client_id" in claims else None
    if client_ids and (authorized_party or client_id) not in client_ids:
        raise InvalidToken("the token was issued to another client")


def subject_of(claims: Claims, name: str) -> str:
    """The claim `name`, which identifies a user.

    :raises InvalidToken: it is missing, not a text, blank, longer than 255 characters, or holds control characters.
    """
    subject = claims.get(name)
    # `name` is configured and may be an address, so it is not repeated to the caller.
    if not isinstance(subject, str):
        raise InvalidToken("the subject is missing or not a text")
    if not subject.strip():
        raise InvalidToken("the subject is empty")
    if len(subject) > MAX_SUBJECT:
        raise InvalidToken("the subject is longer than 255 characters")
    if _CONTROL_CHARACTER.search(subject):
        raise InvalidToken("the subject holds control characters")
    return subject


def _text(members: Claims, name: str) -> str | None:
    if name not in members:
        return None
    value = members[name]
    if not isinstance(value, str):
        raise InvalidToken(f"{name} is not a text")
    return value
