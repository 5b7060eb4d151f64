"""The attributes of each resource, as they are written; ``resources`` turns what they load into dataclasses.

A schema knows one resource and nothing else: whether a reference leads anywhere is the snapshot's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import Schema, ValidationError, fields, validate, validates, validates_schema

from ..introspection.keys import ALGORITHMS, spellings
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
)

ID = r"[A-Za-z0-9\-._]{1,64}\Z"
"""What an id looks like; :func:`re.match` anchors it in front."""

_ALGORITHMS = sorted(frozenset[str]().union(*map(spellings, ALGORITHMS)))
_SCOPE = validate.Regexp(r"[\x21\x23-\x5b\x5d-\x7e]+\Z", error="must be one scope (RFC 6749, section 3.3)")
_AUTH_SCHEME = validate.Regexp(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z", error="must be one word, as an auth-scheme is")


def target(reference: Mapping[str, str]) -> tuple[str, str]:
    """Type and id that a loaded reference leads to."""
    type_name, _slash, id_ = reference.get("reference", "/").partition("/")
    return reference.get("type", type_name), reference.get("id", id_)


class ReferenceSchema(StrictSchema):
    """``{"reference": "User/x"}`` or ``{"resourceType": "User", "id": "x"}``."""

    reference = Line()
    type = Line(data_key="resourceType")
    id = Line()

    @validates_schema
    def check_form(self, data: Mapping[str, str], **_: Any) -> None:
        if set(data) not in ({"reference"}, {"type", "id"}):
            raise ValidationError("must have either reference, or resourceType and id")
        if not all(target(data)):
            raise ValidationError("must read Type/id", "reference")


class ResourceSchema(StrictSchema):
    """What every resource has. `meta` is what was read back; writing it changes nothing."""

    type_name = Line(data_key="resourceType")
    id = Line(validate=validate.Regexp(ID, error="must be 1 to 64 of the characters A-Z a-z 0-9 - . _"))
    meta = Object()
    active = Flag(load_default=True)


class ClientSchema(StrictSchema):
    id = Line()
    secret = Secret()
    auth_method = Line(data_key="auth-method")
    redirect_uri = Line()


class IdentityProviderSchema(ResourceSchema):
    later: ClassVar[frozenset[str]] = frozenset({"match_by", "userinfo_refresh"})

    title = Text()
    system = Line(255, required=True)
    issuer = Line()
    authorize_endpoint = Line()
    token_endpoint = Line()
    userinfo_endpoint = Line()
    introspection_endpoint = Line()
    jwks_uri = Line()
    revocation_endpoint = Line()
    scopes = Items(Line(validate=_SCOPE))
    client = Group(ClientSchema)
    userinfo_source = Line(
        data_key="userinfo-source", load_default="userinfo-endpoint", validate=choice("userinfo-endpoint", "id-token")
    )
    userinfo_header = Line(load_default="Bearer", validate=_AUTH_SCHEME)
    to_scim = Object(data_key="toScim", load_default=dict)
    subject_claim = Line(255, load_default="sub")
    create_user = Flag()

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def check_userinfo(self, data: Mapping[str, object], original: Mapping[str, object], **_: Any) -> None:
        if data.get("userinfo_source") == "userinfo-endpoint" and "userinfo_endpoint" not in original:
            reason = "is required, since userinfo-source is userinfo-endpoint and discovery comes with a later version"
            raise ValidationError(reason, "userinfo_endpoint")


class KeySchema(StrictSchema):
    """A key as `jwt.keys` holds it; what its members say is checked where the key is made of them."""

    kty = Line(required=True)
    alg = Line(required=True)
    format = Line()
    pub = Text()
    k = Secret()


class JwtSchema(StrictSchema):
    iss = Line(required=True)
    secret = Secret()
    keys = Several(Group(KeySchema))
    aud = OneOrSeveral(Line())
    client_id = OneOrSeveral(Line())
    algorithms = Several(Line(validate=choice(*_ALGORITHMS)))
    typ = Line(255)
    leeway = Seconds(0, 300, load_default=30)


class TokenIntrospectorSchema(ResourceSchema):
    later: ClassVar[frozenset[str]] = frozenset({"token_prefix", "introspection_endpoint"})

    type = Line(required=True, validate=choice("jwt", later=("opaque", "aspxauth")))
    identity_provider = Group(ReferenceSchema)
    cache_ttl = Seconds(1, 86_400, load_default=300)
    jwks_uri = Line()
    jwt = Group(JwtSchema)

    @validates("identity_provider")
    def check_provider(self, reference: Mapping[str, str], **_: Any) -> None:
        type_name, id_ = target(reference)
        if id_ and type_name != "IdentityProvider":
            raise ValidationError("must refer to an IdentityProvider")

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def check_keys(self, data: Mapping[str, object], original: Mapping[str, object], **_: Any) -> None:
        if data.get("type") == "jwt" and "jwt" not in original:
            raise ValidationError("is required, since type is jwt", "jwt")
        jwt = original.get("jwt")
        given = [f"jwt.{name}" for name in ("secret", "keys") if isinstance(jwt, Mapping) and name in jwt]
        given += ["jwks_uri"] if "jwks_uri" in original else []
        if len(given) > 1:
            raise ValidationError(f"at most one of jwt.secret, jwt.keys and jwks_uri, not {' and '.join(given)}")


class AccessPolicySchema(ResourceSchema):
    later: ClassVar[frozenset[str]] = frozenset({"schema", "sql", "and", "or", "roleName"})

    description = Text()
    engine = Line(required=True, validate=choice("allow", "matcho", later=("json-schema", "sql", "complex")))
    matcho = fields.Raw()
    link = Several(Group(ReferenceSchema))


SCHEMAS: Mapping[str, Schema] = {
    "IdentityProvider": IdentityProviderSchema(),
    "TokenIntrospector": TokenIntrospectorSchema(),
    "AccessPolicy": AccessPolicySchema(),
}
"""Each type of resource that the registry holds, and how it is read."""
