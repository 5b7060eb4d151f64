"""The attributes of each resource, as they are written; ``resources`` turns what they load into dataclasses.

A schema knows one resource and nothing else: whether a reference leads anywhere is the snapshot's to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, pre_load, validate, validates, validates_schema

from ..introspection.keys import ALGORITHMS, spellings
from ..users.to_scim import MAX_RULES
from .fields import (
    Flag,
    Group,
    Items,
    Line,
    Object,
    OneOrSeveral,
    Seconds,
    Secret,
    Several,
    StrictSchema,
    Text,
    choice,
    meaning,
)

ID = r"(?!\.\.?\Z)[A-Za-z0-9\-._]{1,64}\Z"
"""What an id looks like; :func:`re.match` anchors it in front. Addresses cannot end with ``.`` or ``..``."""

NO_ID = "must be 1 to 64 of the characters A-Z a-z 0-9 - . _, and neither . nor .."
"""What is said of a text that is none."""

SECRET_ADDRESSES = ("issuer", "token_endpoint", "introspection_endpoint", "revocation_endpoint")
"""The addresses of an IdentityProvider at which the secret of its client may be sent somewhere."""

_ALGORITHMS = sorted(frozenset[str]().union(*map(spellings, ALGORITHMS)))
_SCOPE = validate.Regexp(r"[\x21\x23-\x5b\x5d-\x7e]+\Z", error="must be one scope (RFC 6749, section 3.3)")
_AUTH_SCHEME = validate.Regexp(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z", error="must be one word, as an auth-scheme is")
_B64TOKEN = validate.Regexp(
    r"[A-Za-z0-9\-._~+/]+=*\Z", error="must be of the characters of a bearer token (RFC 6750, section 2.1)"
)
_JWT_ONLY = ("jwks_uri", "jwt.secret", "jwt.keys", "jwt.algorithms", "jwt.typ")
_OPAQUE_ONLY = ("token_prefix", "token_type", "introspection_endpoint")


def target(reference: Mapping[str, str]) -> tuple[str, str]:
    """Type and id that a loaded reference leads to."""
    type_name, _slash, id_ = reference.get("reference", "/").partition("/")
    return reference.get("type", type_name), reference.get("id", id_)


class ReferenceSchema(StrictSchema):
    """``{"reference": "User/x"}`` or ``{"resourceType": "User", "id": "x"}``."""

    reference = Line(metadata=meaning("the resource, as `Type/id`"))
    type = Line(data_key="resourceType", metadata=meaning("its type; another way to write the same, with `id`"))
    id = Line(metadata=meaning("its id"))

    @validates_schema
    def check_form(self, data: Mapping[str, str], **_: Any) -> None:
        if set(data) not in ({"reference"}, {"type", "id"}):
            raise ValidationError("must have either reference, or resourceType and id")
        if not all(target(data)):
            raise ValidationError("must read Type/id", "reference")


class ResourceSchema(StrictSchema):
    """What every resource has. `meta` is what was read back; writing it changes nothing."""

    type_name = Line(data_key="resourceType", metadata=meaning("which of the three it is"))
    id = Line(
        validate=validate.Regexp(ID, error=NO_ID),
        metadata=meaning("its name, unique for its type"),
    )
    meta = Object(metadata=meaning("version and time as they were read; written back, it changes nothing"))
    active = Flag(load_default=True, metadata=meaning("false: kept, and treated as absent"))


class ClientSchema(StrictSchema):
    id = Line(metadata=meaning("the client's id at the provider"))
    secret = Secret(
        bound_to=(*SECRET_ADDRESSES, "client.id", "client.auth-method"),
        metadata=meaning("the client's secret"),
    )
    auth_method = Line(
        data_key="auth-method",
        metadata=meaning(
            "how the client authenticates where opaque tokens are asked about: `client_secret_post` in the form, "
            "anything else by Basic"
        ),
    )
    redirect_uri = Line(metadata=meaning("where the provider sends people back to"))


class IdentityProviderSchema(ResourceSchema):
    title = Text(metadata=meaning("its name for people"))
    system = Line(
        255, required=True, metadata=meaning("the identifier system of its users; no two providers have the same")
    )
    issuer = Line(
        metadata=meaning(
            "its issuer identifier; what it publishes there gives the endpoints that are needed and not given"
        )
    )
    authorize_endpoint = Line(metadata=meaning("where people sign in"))
    token_endpoint = Line(metadata=meaning("where clients get tokens"))
    userinfo_endpoint = Line(
        metadata=meaning(
            "asked with the token when its user is first seen, unless `userinfo-source` is `id-token`; "
            "without it, the one that is published at `issuer`"
        )
    )
    introspection_endpoint = Line(
        metadata=meaning("where opaque tokens are asked about; without it, the one that is published at `issuer`")
    )
    jwks_uri = Line(metadata=meaning("its key set; without it, the one that is published at `issuer`"))
    revocation_endpoint = Line(metadata=meaning("where tokens are given back"))
    scopes = Items(Line(validate=_SCOPE), metadata=meaning("the scopes that its clients ask for"))
    client = Group(ClientSchema, metadata=meaning("the client that this app is at the provider"))
    userinfo_source = Line(
        data_key="userinfo-source",
        load_default="userinfo-endpoint",
        validate=choice("userinfo-endpoint", "id-token"),
        metadata=meaning("where a user's data comes from; `id-token`: the claims of the token itself"),
    )
    userinfo_header = Line(
        load_default="Bearer",
        validate=_AUTH_SCHEME,
        metadata=meaning("the word before the token when userinfo is asked"),
    )
    to_scim = Object(
        data_key="toScim",
        load_default=dict,
        validate=validate.Length(max=MAX_RULES, error="must not have more than {max} rules"),
        metadata=meaning(
            "copies members of userinfo into the user: a name, or a path with dots, to a path in the user, "
            '`{"given_name": ["name", "givenName"], "realm_access.roles": ["roles"]}`'
        ),
    )
    subject_claim = Line(
        255, load_default="sub", metadata=meaning("the claim that names the user; Entra ID wants `oid`")
    )
    create_user = Flag(
        metadata=meaning("whether unknown subjects become users; the setting `FOREIGN_TOKEN_CREATE_USER` where absent")
    )
    match_by = Line(
        validate=choice("email"),
        metadata=meaning(
            "`email`: an unknown subject is taken for the user, if there is just one, whose address another provider "
            "has verified, and this one too"
        ),
    )
    userinfo_refresh = Seconds(
        0,
        31_536_000,
        load_default=3600,
        metadata=meaning("the age from which what is known of a user is asked anew, with the next new token"),
    )

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def check_userinfo(self, data: Mapping[str, object], original: Mapping[str, object], **_: Any) -> None:
        if data.get("userinfo_source") != "userinfo-endpoint" or {"userinfo_endpoint", "issuer"} & set(original):
            return
        reason = (
            "is required for userinfo-source userinfo-endpoint, or issuer, where it is published; "
            "`flask foreign-token provider add` finds it"
        )
        raise ValidationError(reason, "userinfo_endpoint")


class KeySchema(StrictSchema):
    """A key as `jwt.keys` holds it; what its members say is checked where the key is made of them."""

    kty = Line(required=True, metadata=meaning("the kind of key: `RSA`, `EC`, `OKP` or `OCT`"))
    alg = Line(required=True, metadata=meaning("the algorithm that it signs with"))
    format = Line(metadata=meaning("`PEM` for `pub`, `plain` for `k`"))
    pub = Text(metadata=meaning("the public key"))
    k = Secret(metadata=meaning("the shared secret"))


class JwtSchema(StrictSchema):
    iss = Line(
        metadata=meaning(
            "the issuer that tokens must name; needed with `type: jwt`. It is compared, and called only for keys that "
            "are given neither here nor at the provider"
        )
    )
    secret = Secret(metadata=meaning("the secret shared with the issuer, for HS256 and its kin"))
    keys = Several(Group(KeySchema), longest=100, metadata=meaning("the issuer's keys"))
    aud = OneOrSeveral(Line(), metadata=meaning("the audience: one of these must be in the token's `aud`"))
    client_id = OneOrSeveral(
        Line(),
        metadata=meaning(
            "the clients: the token's `azp` or `client_id` must be one of these; for tokens without `aud`"
        ),
    )
    algorithms = Several(
        Line(validate=choice(*_ALGORITHMS)),
        metadata=meaning("the only algorithms taken; without it, all that the keys can do"),
    )
    typ = Line(255, metadata=meaning("what the header's `typ` must say, as `at+jwt`"))
    leeway = Seconds(0, 300, load_default=30, metadata=meaning("how far the issuer's clock may be off"))


class IntrospectionEndpointSchema(StrictSchema):
    url = Line(required=True, metadata=meaning("where tokens are asked about (RFC 7662)"))
    authorization = Secret(
        bound_to=("introspection_endpoint.url",),
        metadata=meaning("the header `Authorization` that it wants, as it is sent; instead of `client_id`"),
    )
    client_id = Line(metadata=meaning("the id of the client that this app is there"))
    client_secret = Secret(
        bound_to=(
            "introspection_endpoint.url",
            "introspection_endpoint.client_id",
            "introspection_endpoint.auth_method",
        ),
        metadata=meaning("that client's secret"),
    )
    auth_method = Line(
        validate=choice("client_secret_basic", "client_secret_post"),
        metadata=meaning("how that client authenticates; `client_secret_basic` without it"),
    )

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def check_authentication(self, data: Mapping[str, object], original: Mapping[str, object], **_: Any) -> None:
        if not isinstance(original, Mapping):
            return
        of_client = {"client_id", "client_secret", "auth_method"} & set(original)
        if bool(of_client) == ("authorization" in original):
            raise ValidationError("must have either authorization, or client_id and client_secret")
        if of_client:
            lacking = [name for name in ("client_id", "client_secret") if name not in original]
            _refuse((name, "is required without authorization") for name in lacking)


class TokenIntrospectorSchema(ResourceSchema):
    type = Line(
        required=True, validate=choice("jwt", "opaque", later=("aspxauth",)), metadata=meaning("what its tokens are")
    )
    identity_provider = Group(
        ReferenceSchema, metadata=meaning("whose users the tokens speak of; without it they have none")
    )
    cache_ttl = Seconds(
        1,
        86_400,
        load_default=300,
        metadata=meaning("how old the key set may be, and what was found out about a token"),
    )
    jwks_uri = Line(metadata=meaning("where the key set is fetched"))
    jwt = Group(
        JwtSchema,
        metadata=meaning(
            "which tokens it takes, and how they are verified; needed with `type: jwt`. With `type: opaque` the answer "
            "to a token is held to `iss`, `aud`, `client_id` and `leeway`, and the rest must not be there"
        ),
    )
    token_prefix = Line(
        255,
        validate=_B64TOKEN,
        metadata=meaning(
            "what its tokens begin with, for `type: opaque`; needed where there is more than one of that type"
        ),
    )
    token_type = Line(
        validate=choice("Bearer"),
        metadata=meaning(
            "what the answer to a token must name as its `token_type`, for `type: opaque`; "
            "without it, none need be named"
        ),
    )
    introspection_endpoint = Group(
        IntrospectionEndpointSchema,
        metadata=meaning(
            "who is asked about its tokens, for `type: opaque`; without it the provider is, with its `client`"
        ),
    )

    @validates("identity_provider")
    def check_provider(self, reference: Mapping[str, str], **_: Any) -> None:
        type_name, id_ = target(reference)
        if id_ and type_name != "IdentityProvider":
            raise ValidationError("must refer to an IdentityProvider")

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def check_keys(self, data: Mapping[str, object], original: Mapping[str, object], **_: Any) -> None:
        sources = ("jwt.secret", "jwt.keys", "jwks_uri")
        given = [path for path in sources if data.get("type") != "opaque" and _is_given(original, path)]
        if len(given) > 1:
            raise ValidationError(f"at most one of jwt.secret, jwt.keys and jwks_uri, not {' and '.join(given)}")

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def check_type(self, data: Mapping[str, object], original: Mapping[str, object], **_: Any) -> None:
        if data.get("type") == "jwt":
            _refuse(_faults_of_jwt(original))
        if data.get("type") == "opaque":
            reason = "is for type jwt; of an opaque token introspection_endpoint says whether it is good"
            _refuse((path, reason) for path in _JWT_ONLY if _is_given(original, path))


def _faults_of_jwt(original: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for path in _OPAQUE_ONLY:
        if path in original:
            yield path, "is for type opaque; a JWT says itself what it is"
    if "jwt" not in original:
        yield "jwt", "is required, since type is jwt"
    elif isinstance(original["jwt"], Mapping) and "iss" not in original["jwt"]:
        yield "jwt.iss", "is required, since type is jwt"


def _is_given(value: object, path: str) -> bool:
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return False
        value = value[name]
    return True


def _refuse(faults: Iterable[tuple[str, str]]) -> None:
    """:raises ValidationError: there is one; names each with its path."""
    messages: dict[str, Any] = {}
    for path, reason in faults:
        *groups, name = path.split(".")
        place = messages
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = [reason]
    if messages:
        raise ValidationError(messages)


def _of_engine(text: str, data_key: str | None = None) -> fields.Raw:
    """An attribute whose content an engine checks, null included."""
    return fields.Raw(allow_none=True, data_key=data_key, metadata=meaning(text))


class AccessPolicySchema(ResourceSchema):
    """What the engines say of each other's attributes is theirs to say; here is what all of them may be called."""

    description = Text(metadata=meaning("what it is for, for people"))
    engine = Line(
        required=True,
        metadata=meaning(
            "how it decides: `allow`, `matcho`, `json-schema`, `sql`, `complex`, or an engine of another package, "
            "which says the rest in an attribute of its own name"
        ),
    )
    matcho = _of_engine("the pattern that a request must match, with `engine: matcho`")
    schema = _of_engine("the JSON Schema by which a request must be valid, with `engine: json-schema`")
    sql = _of_engine('`{"query": "…"}`: what the database is asked, with `engine: sql`')
    all_of = _of_engine("conditions, each with its `engine`, all of which must allow, with `engine: complex`", "and")
    any_of = _of_engine("conditions, each with its `engine`, one of which must allow, with `engine: complex`", "or")
    role_name = Line(
        data_key="roleName", metadata=meaning("a role that the user must have as well: one of `roles` of the User")
    )
    link = Several(
        Group(ReferenceSchema),
        metadata=meaning(
            "whom it is for: a `User/…`, `Client/…` or `Operation/…`; any of them; without, for every view"
        ),
    )

    @pre_load
    def leave_to_engine(self, data: Mapping[str, object], **_: Any) -> Mapping[str, object]:
        """`data` without the attribute that has the engine's name, where that is no name of ours."""
        own = set(self.names(data)) - set(self.names({}))
        return {name: value for name, value in data.items() if name not in own}

    def names(self, data: Mapping[str, object]) -> list[str]:
        engine = data.get("engine")
        return [*super().names(data), *([engine] if isinstance(engine, str) else [])]


SCHEMAS: Mapping[str, Schema] = {
    "IdentityProvider": IdentityProviderSchema(),
    "TokenIntrospector": TokenIntrospectorSchema(),
    "AccessPolicy": AccessPolicySchema(),
}
"""Each type of resource that the registry holds, and how it is read."""
