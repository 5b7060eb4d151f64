"""What each endpoint of a type of resource does, takes and answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from ..route import TYPES, USER
from ..searching import PARAMETERS
from .attributes import Attributes, Json
from .examples import EXAMPLES
from .parameters import CONDITIONS, IF_NONE_MATCH, PAGE, PAGE_OF_HISTORY, STRICT, query
from .responses import OF_ALL, OF_BODIES, answered, body, empty, refused
from .rules import reference


def operation(verb: str, type_: str) -> Json:
    """What the document says of an endpoint.

    :param verb: one of :data:`VERBS`.
    """
    return {"tags": [type_], **VERBS[verb](type_)}


def _search(type_: str) -> Json:
    attributes = Attributes()
    wanted = [
        query(parameter.name, parameter.meaning, attributes.of_parameter(parameter.field))
        for parameter in PARAMETERS[type_].values()
    ]
    return {
        "summary": "Search",
        "description": "Those in which every attribute that is asked for reads so, or one of its items does, by id.",
        "parameters": [query("_id", "the id", {"type": "string"}), *PAGE, *wanted],
        "responses": {
            "200": answered("A page of what was found", reference(f"{type_}Bundle")),
            **refused((*OF_ALL, 406, 422)),
        },
    }


def _create(type_: str) -> Json:
    return {
        "summary": "Create one",
        "description": "Under the `id` of the body where it has one, else under a new one.",
        "parameters": _preferences(type_),
        "requestBody": body(reference(type_), EXAMPLES[type_]),
        "responses": {
            "201": _stored(type_, "It was created", "Location"),
            **refused((*OF_ALL, *OF_BODIES, *_read_only(type_), 404, 406, 409)),
        },
    }


def _read(type_: str) -> Json:
    return {
        "summary": "Read one",
        "description": "Whoever writes into the database by hand may read what fits no schema.",
        "parameters": [IF_NONE_MATCH],
        "responses": {
            "200": answered("The resource, its secrets masked", reference(f"Stored{type_}"), "ETag"),
            "304": empty("It is in a state that is known already", "ETag"),
            **refused((*OF_ALL, 404, 406)),
        },
    }


def _update(type_: str) -> Json:
    return {
        "summary": "Create or replace one",
        "description": "As a whole: what is left out is taken away. A secret that is written as the mask stays.",
        "parameters": [*_preferences(type_), *CONDITIONS],
        "requestBody": body(reference(type_), EXAMPLES[type_]),
        "responses": {
            "200": _stored(type_, "It was replaced, or was so before"),
            "201": _stored(type_, "It was created", "Location"),
            **refused((*OF_ALL, *OF_BODIES, *_read_only(type_), 404, 406, 412)),
        },
    }


def _delete(type_: str) -> Json:
    return {
        "summary": "Delete one",
        "parameters": CONDITIONS,
        "responses": {"204": empty("It was deleted"), **refused((*OF_ALL, *_read_only(type_), 404, 409, 412))},
    }


def _history(type_: str) -> Json:
    return {
        "summary": "The versions of one",
        "description": "The newest first, with what was done, when and by whom. Secrets are masked.",
        "parameters": PAGE_OF_HISTORY,
        "responses": {
            "200": answered("A page of the versions", reference(f"{type_}History")),
            **refused((*OF_ALL, 404, 406, 422)),
        },
    }


def _version(type_: str) -> Json:
    return {
        "summary": "One version of one",
        "parameters": [IF_NONE_MATCH],
        "responses": {
            "200": answered("The resource as it was", reference(f"Stored{type_}"), "ETag"),
            "304": empty("It is known already", "ETag"),
            **refused((*OF_ALL, 404, 406, 410)),
        },
    }


def _rollback(type_: str) -> Json:
    return {
        "summary": "Bring a version back",
        "description": "It becomes what it was, in a new version.",
        "parameters": [*_preferences(type_), *CONDITIONS],
        "requestBody": body(reference("Rollback"), {"version": {"versionId": "1"}}),
        "responses": {
            "200": _stored(type_, "It is what it was"),
            "201": _stored(type_, "It is there again", "Location"),
            "204": empty("It was deleted then, and is so again"),
            **refused((*OF_ALL, *OF_BODIES, *_read_only(type_), 404, 406, 412)),
        },
    }


def _stored(type_: str, description: str, *headers: str) -> Json:
    told = () if type_ == USER else ("Warning", "PreferenceApplied")
    made = answered(description, reference(f"Stored{type_}"), "ETag", *headers, *told)
    return {**made, "links": _links(type_)}


def _links(type_: str) -> Json:
    """From a resource as it was stored to what can be done with it next."""
    noun, id_, version = TYPES[type_], "$response.body#/id", "$response.body#/meta/versionId"

    def link(verb: str, **more: Json) -> Json:
        return {"operationId": f"{verb}_{noun}", "parameters": {"id": id_}, **more}

    led_to = {verb: link(verb) for verb in ("read", "update", "delete")}
    if type_ == USER:
        return led_to
    return {
        **led_to,
        "history": link("history"),
        "version": link("version", parameters={"id": id_, "versionId": version}),
        "rollback": link("rollback", requestBody={"versionId": version}),
    }


def _read_only(type_: str) -> tuple[int, ...]:
    """The status of what a registry file does not do."""
    return () if type_ == USER else (405,)


def _preferences(type_: str) -> list[Json]:
    return [] if type_ == USER else [STRICT]


VERBS: Final[Mapping[str, Callable[[str], Json]]] = {
    "search": _search,
    "create": _create,
    "read": _read,
    "update": _update,
    "delete": _delete,
    "history": _history,
    "version": _version,
    "rollback": _rollback,
}
"""What can be done with resources."""
