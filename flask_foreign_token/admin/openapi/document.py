"""The OpenAPI document of one app: its endpoints, as they are mounted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Final

from apispec import APISpec
from werkzeug.routing import Rule

from ..route import NAME, TYPES
from .attributes import VERSION, Json
from .parameters import of_path
from .paths import VERBS, operation
from .responses import HEADERS, shared
from .rules import Traits
from .schemas import components
from .services import DOCUMENT, HEALTH, SERVICES, TRYING

_TITLE: Final = "Flask-ForeignToken: the operator's API"
_ABOUT: Final = (
    "What is trusted, what is allowed, and who has come. The operator signs in with Basic; a bearer token needs a "
    "policy with a link to the very operation. Answers are JSON, or YAML where `Accept` asks for it."
)
_ORDER: Final = ("openapi", "info", "servers", "security", "tags", "paths", "components")
_TAGS: Final[Mapping[str, str]] = {
    "IdentityProvider": "Who issues tokens, and what becomes of their subjects",
    "TokenIntrospector": "How the tokens of one issuer are checked",
    "AccessPolicy": "What is allowed to whom",
    "User": "Who has come",
    TRYING: "What a pattern or a policy would say; nothing is stored",
    HEALTH: "How things stand",
    DOCUMENT: "What is written here",
}
_SCHEMES: Final[Mapping[str, Json]] = {
    "operator": {"type": "http", "scheme": "basic", "description": "the operator's name and password"},
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "a token that a policy with a link to the operation lets in",
    },
}
_VARIABLE: Final = re.compile(r"<(?:[^<>:]+:)?([^<>]+)>")
_NAMES: Final = {"id_": "id", "version": "versionId"}
# What stands in paths, as the routes call it and as the document does.
_NOUNS: Final = {noun: type_ for type_, noun in TYPES.items()}


def document(rules: Iterable[Rule], prefix: str, traits: Traits) -> Json:
    """The document, with no ``servers`` yet.

    :param rules: of the app; those of the operator's API are in the document, in their order.
    :param prefix: where that is mounted.
    """
    spec = APISpec(
        title=_TITLE,
        version=version("Flask-ForeignToken"),
        openapi_version=VERSION,
        info={"description": _ABOUT, "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"}},
        security=[{name: []} for name in _SCHEMES],
    )
    for name, about in _TAGS.items():
        spec.tag({"name": name, "description": about})
    for name, scheme in _SCHEMES.items():
        spec.components.security_scheme(name, scheme)
    for name, schema in components(traits).items():
        spec.components.schema(name, schema)
    for name, response in shared().items():
        spec.components.response(name, response)
    for name, header in HEADERS.items():
        spec.components.header(name, header)
    for rule in rules:
        if rule.endpoint.startswith(f"{NAME}."):
            _add(spec, rule, prefix)
    made = {**spec.to_dict(), "servers": []}
    return {name: made[name] for name in _ORDER}


def described(name: str) -> Json:
    """What the document says of an endpoint.

    :param name: without the blueprint's.
    :raises KeyError: nothing is known of it.
    """
    if name in SERVICES:
        return SERVICES[name]()
    verb, _, noun = name.partition("_")
    if verb not in VERBS:
        raise KeyError(name)
    return operation(verb, _NOUNS[noun])


def _add(spec: APISpec, rule: Rule, prefix: str) -> None:
    name = rule.endpoint.removeprefix(f"{NAME}.")
    if name == "static" or rule.methods is None:
        return
    path = _VARIABLE.sub(_variable, rule.rule.removeprefix(prefix))
    told = described(name)
    parameters = [*of_path(path), *told.get("parameters", ())]
    method = next(iter(rule.methods - {"HEAD", "OPTIONS"})).lower()
    spec.path(path, operations={method: {"operationId": name, **told, "parameters": parameters}})


def _variable(found: re.Match[str]) -> str:
    return f"{{{_NAMES[found[1]]}}}"
