"""What must hold between the attributes of one object, as far as JSON Schema can say it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ...policies.json_schema.keywords import KEYWORDS
from ...policies.matcho.parse import OPERATORS
from ...users.own_attributes import OwnAttribute
from .attributes import Json, requiring, with_attributes, without

_ADDRESS: Final = {
    "type": "string",
    "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://([A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?|\[[0-9A-Fa-f:.]+\])"
    r'(:[0-9]{1,5})?([/?][!"$-\[\]-~]*)?$',
    "maxLength": 2048,
}
_TYPES_OF_LINKS: Final = ("User", "Client", "Operation")
_JWT_ONLY: Final = ("secret", "keys", "algorithms", "typ")
_OPAQUE_ONLY: Final = ("token_prefix", "token_type", "introspection_endpoint")
_KINDS: Final[Mapping[type | None, Json]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    None: {},
}
_COMPLEX: Final = "complex"
_NEEDS: Final[Mapping[str, Sequence[Sequence[str]]]] = {
    "allow": ((),),
    "matcho": (("matcho",),),
    "json-schema": (("schema",),),
    _COMPLEX: (("and",), ("or",)),
}
# What each engine must be told, in one of several ways.
_OWNERS: Final = {"matcho": "matcho", "schema": "json-schema", "sql": "sql", "and": _COMPLEX, "or": _COMPLEX}


def reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def one_of(names: Iterable[str], discriminator: str | None = None) -> Json:
    """Objects that are one of several components."""
    alternatives: Json = {"oneOf": [reference(name) for name in names]}
    return alternatives if discriminator is None else {**alternatives, "discriminator": {"propertyName": discriminator}}


@dataclass(frozen=True, slots=True)
class Traits:
    """What of an app its document depends on.

    :param engines: the names that policies may give to engines of other packages.
    :param has_sql: whether the engine ``sql`` is on.
    :param needs_audience: whether an introspector must name an audience or a client.
    :param own: the attributes of the app's model that a User resource shows.
    """

    engines: tuple[str, ...] = ()
    has_sql: bool = False
    needs_audience: bool = True
    own: Mapping[str, OwnAttribute] = field(default_factory=dict)


def ruled(found: Mapping[str, Json], traits: Traits) -> dict[str, Json]:
    """The components that apispec made of the schemas, with what these check beside single attributes."""
    made = {name: _named(name, schema) for name, schema in found.items()}
    made |= _references(made.pop("Reference"))
    made |= _secret_references(made["SecretReference"])
    made["IdentityProvider"] = _provider(made["IdentityProvider"])
    made["Key"] = _key(made["Key"])
    made |= _introspectors(made.pop("Jwt"), made["TokenIntrospector"], traits)
    made["IntrospectionEndpoint"] = _introspection_endpoint(made["IntrospectionEndpoint"])
    made |= _policies(made["AccessPolicy"], traits)
    made["User"] = _user(made["User"], traits)
    return made


def _named(type_: str, schema: Json) -> Json:
    """A resource names its type; what is written as its ``meta`` is not looked at."""
    if "resourceType" not in schema["properties"] or type_ == "Reference":
        return schema
    return with_attributes(schema, resourceType={"type": "string", "const": type_}, meta={})


def closed(properties: Mapping[str, Json], required: Iterable[str] | None = None) -> Json:
    """An object of these attributes alone.

    :param required: none: all of them.
    """
    return {
        "type": "object",
        "properties": dict(properties),
        "required": sorted(properties if required is None else required),
        "additionalProperties": False,
    }


def _references(schema: Json) -> dict[str, Json]:
    def to(*types: str) -> Json:
        short = {"type": "string", "pattern": rf"^({'|'.join(types)})/[^\x00-\x1f\x7f-\x9f]+$", "maxLength": 2048}
        written = with_attributes(schema, reference=short, resourceType={"type": "string", "enum": list(types)})
        return {
            "oneOf": [
                requiring(["reference"], without(["resourceType", "id"], written)),
                requiring(["resourceType", "id"], without(["reference"], written)),
            ]
        }

    return {"ProviderReference": to("IdentityProvider"), "Link": to(*_TYPES_OF_LINKS)}


def _secret_references(schema: Json) -> dict[str, Json]:
    described = schema["properties"]
    path = {**described["file"], "pattern": r"^/[^\x00-\x1f\x7f-\x9f]*$"}
    return {
        "SecretReference": {"oneOf": [closed({"env": described["env"]}), closed({"file": path})]},
    }


def _provider(schema: Json) -> Json:
    addresses = {name: _ADDRESS for name in schema["properties"] if name.endswith("_endpoint") or name == "jwks_uri"}
    source = {"properties": {"userinfo-source": {"const": "id-token"}}, "required": ["userinfo-source"]}
    return {
        **with_attributes(schema, **addresses, toScim=_to_scim()),
        "anyOf": [source, {"required": ["userinfo_endpoint"]}, {"required": ["issuer"]}],
    }


def _to_scim() -> Json:
    step = {"anyOf": [{"type": "string", "minLength": 1}, {"type": "integer", "minimum": 0, "maximum": 99}]}
    path = {
        "type": "array",
        "prefixItems": [{"type": "string"}],
        "items": step,
        "minItems": 1,
        "maxItems": 10,
    }
    return {"type": "object", "additionalProperties": path, "maxProperties": 100}


def _key(schema: Json) -> Json:
    kinds = with_attributes(schema, kty={"type": "string", "enum": ["RSA", "EC", "OKP"]}, format={"const": "PEM"})
    shared = with_attributes(schema, kty={"const": "OCT"}, format={"const": "plain"})
    return {
        "oneOf": [
            requiring(["format", "pub"], without(["k"], kinds)),
            requiring(["format", "k"], without(["pub"], shared)),
        ]
    }


def _introspectors(jwt: Json, schema: Json, traits: Traits) -> dict[str, Json]:
    linked = with_attributes(schema, identity_provider=reference("ProviderReference"), jwks_uri=_ADDRESS)
    of_jwts = with_attributes(without(_OPAQUE_ONLY, linked), type={"const": "jwt"}, jwt=reference("Jwt"))
    of_opaque = with_attributes(without(["jwks_uri"], linked), type={"const": "opaque"}, jwt=reference("OpaqueToken"))
    named = [{"required": ["aud"]}, {"required": ["client_id"]}]
    audience = {"anyOf": named} if traits.needs_audience else {}
    # Keys are named in one place at most.
    own_keys = {"anyOf": [{"required": ["secret"]}, {"required": ["keys"]}]}
    return {
        "TokenIntrospector": one_of(["JwtIntrospector", "OpaqueIntrospector"], "type"),
        "JwtIntrospector": {
            **requiring(["jwt"], of_jwts),
            "not": {"properties": {"jwt": own_keys}, "required": ["jwt", "jwks_uri"]},
        },
        "OpaqueIntrospector": {
            **of_opaque,
            "anyOf": [{"required": ["introspection_endpoint"]}, {"required": ["identity_provider"]}],
        },
        "Jwt": {**requiring(["iss"], jwt), "not": {"required": ["secret", "keys"]}, **audience},
        "OpaqueToken": without(_JWT_ONLY, jwt),
    }


def _introspection_endpoint(schema: Json) -> Json:
    asked = with_attributes(schema, url=_ADDRESS)
    return {
        "oneOf": [
            requiring(["authorization"], without(["client_id", "client_secret", "auth_method"], asked)),
            requiring(["client_id", "client_secret"], without(["authorization"], asked)),
        ]
    }


def _policies(schema: Json, traits: Traits) -> dict[str, Json]:
    """Policies, and the conditions of the engine ``complex``, in which each engine has attributes of its own."""
    of_engines: dict[str, Json] = {
        "matcho": {"type": "object", "minProperties": 1, **reference("Pattern")},
        "schema": {"anyOf": [_json_schema(), {"type": "boolean"}]},
        "sql": closed({"query": {"type": "string", "minLength": 1}}),
        "and": reference("Conditions"),
        "or": reference("Conditions"),
    }
    needs = {**_NEEDS, **({"sql": (("sql",),)} if traits.has_sql else {}), **dict.fromkeys(traits.engines, ((),))}
    links = {**schema["properties"]["link"], "items": reference("Link")}
    whole = with_attributes(schema, engine={"type": "string", "enum": list(needs)}, link=links, **of_engines)
    whole["properties"] |= {name: {} for name in traits.engines}
    owners = {**_OWNERS, **{name: name for name in traits.engines}}
    conditions = _conditions(whole, needs, traits)
    return {
        "AccessPolicy": {
            **whole,
            "anyOf": [_needing(name, names) for name, several in needs.items() for names in several],
            "dependentSchemas": {name: {"properties": {"engine": {"const": owner}}} for name, owner in owners.items()},
            "not": {"required": ["and", "or"]},
        },
        "Condition": one_of(conditions),
        **conditions,
        "Conditions": {"type": "array", "items": reference("Condition"), "minItems": 1, "maxItems": 100},
        "Pattern": _pattern(),
    }


def _conditions(policy: Json, needs: Mapping[str, Sequence[Sequence[str]]], traits: Traits) -> dict[str, Json]:
    """One component for each engine, and two for that which is told one of two things."""
    made: dict[str, Json] = {}
    for engine, several in needs.items():
        for names in several:
            own = (engine,) if engine in traits.engines else names
            attributes = {name: policy["properties"][name] for name in own}
            condition = closed({"engine": {"type": "string", "const": engine}, **attributes}, ["engine", *names])
            made[_name_of_condition(engine, names, traits)] = condition
    return made


def _name_of_condition(engine: str, names: Sequence[str], traits: Traits) -> str:
    """What the component is called; an engine of another package may be called what no component can be."""
    if engine in traits.engines:
        return f"Other{traits.engines.index(engine) + 1}Condition"
    parts = (engine, *names) if engine == _COMPLEX else (engine,)
    return "".join(part.title() for part in "-".join(parts).split("-")) + "Condition"


def _needing(engine: str, names: Sequence[str]) -> Json:
    rule: Json = {"properties": {"engine": {"const": engine}}}
    return {**rule, "required": list(names)} if names else rule


def _json_schema() -> Json:
    return {"type": "object", "minProperties": 1, "propertyNames": {"enum": sorted(KEYWORDS)}}


def _user(schema: Json, traits: Traits) -> Json:
    identifiers = {**schema["properties"]["identifier"], "uniqueItems": True}
    written = with_attributes(schema, identifier=identifiers)
    written["properties"] |= {name: _own(attribute) for name, attribute in traits.own.items()}
    # Whatever is not the model's own is kept with an identifier.
    without_any = {"identifier": {"maxItems": 0}, "data": {"maxProperties": 0}}
    return {
        **written,
        "additionalProperties": True,
        "propertyNames": {"minLength": 1},
        "anyOf": [
            {"required": ["identifier"], "properties": {"identifier": {"minItems": 1}}},
            {
                "properties": {**{name: {} for name in written["properties"]}, **without_any},
                "additionalProperties": {"type": "null"},
            },
        ],
    }


def _own(attribute: OwnAttribute) -> Json:
    schema = dict(_KINDS[attribute.kind])
    if attribute.kind is str and attribute.longest is not None:
        schema["maxLength"] = attribute.longest
    if attribute.kind is int:
        schema |= {"minimum": -(2**attribute.bits), "maximum": 2**attribute.bits - 1}
    if attribute.nullable and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    return {**schema, "description": "a column of the application's model"}


def _pattern() -> Json:
    """A pattern as far as its outline; what operators and texts say is for the parser."""
    inner = reference("Pattern")
    return {
        "description": "what a part of the request must be; a text may be a word such as `present?`, a path or an "
        "expression, and a name that begins with `$` an operator",
        "type": ["string", "number", "boolean", "array", "object"],
        "items": inner,
        "additionalProperties": inner,
        "propertyNames": {"anyOf": [{"pattern": r"^(?!\$)"}, {"enum": list(OPERATORS)}]},
    }
