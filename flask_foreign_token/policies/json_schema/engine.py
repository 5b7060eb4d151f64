"""The engine ``json-schema``: a request that is valid against a JSON Schema of draft-07."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...errors import Issue, Rejected
from ..condition import Alternatives, Condition, Decide, Equality, Mismatch
from ..engine import EngineContext, refuse_unknown
from ..request import OBJECTS, PARTS, RequestView
from .check import check, validator
from .document import TOP, Document, Place
from .instance import instance, sight
from .lint import warnings
from .mismatches import mismatches


@dataclass(frozen=True, slots=True)
class Validates(Condition):
    """The request, without what is empty in it, is valid against a schema.

    :param document: what :func:`.check` read.
    """

    document: Document

    @property
    def reads(self) -> frozenset[str]:
        seen = sight(self.document)
        return PARTS if seen is None else frozenset(seen)

    @property
    def needs(self) -> frozenset[str]:
        return self.document.required(TOP)

    @property
    def deterministic(self) -> bool:
        return True

    def compile(self) -> Decide:
        is_valid = validator(self.document.schema).is_valid
        seen = sight(self.document)
        return lambda view: is_valid(instance(view, seen))

    def equalities(self) -> Sequence[Alternatives]:
        return list(_equalities(self.document, [TOP], (), set()))

    def mismatches(self, view: RequestView) -> list[Mismatch]:
        """Why the request is not valid; what is empty in it counts as missing, and indices count what is left."""
        return mismatches(self.document, instance(view, sight(self.document)))

    def warnings(self) -> Iterator[Issue]:
        if not self.reads:
            reason = "the schema looks at nothing in the request, so it answers every request alike"
            yield Issue("", "schema", f"{reason}; say engine: allow if all are meant, and active: false if none are")
        yield from (issue.within("", "schema") for issue in warnings(self.document))


class JsonSchemaEngine:
    """``{"engine": "json-schema", "schema": {"required": ["jwt"], "properties": {"jwt": {…}}}}``"""

    def parse(self, policy: Mapping[str, object], context: EngineContext) -> Condition:
        refuse_unknown(policy, ("schema",))
        schema = policy.get("schema")
        if schema == {}:
            raise Rejected.at(
                "schema", "an empty schema lets every request through; say engine: allow if all are meant"
            )
        # What true and false say is as little, but it is said: that is for the lint.
        if not isinstance(schema, dict | bool):
            raise Rejected.at(
                "schema", 'the engine json-schema wants a schema, an object such as {"required": ["jwt"]}'
            )
        try:
            return Validates(check(schema, context.expressions))
        except Rejected as rejected:
            raise rejected.within("", "schema") from None


def _equalities(
    document: Document, places: Sequence[Place], path: tuple[str, ...], seen: set[Place]
) -> Iterator[Alternatives]:
    """What must be equal in an object at `path` of the request that is valid against the schemas at `places`.

    :param seen: the schemas that were followed; each is followed once, since they can refer to each other.
    """
    required = frozenset[str]().union(*map(document.required, places))
    members: dict[str, list[Place]] = {}
    for place in places:
        for name, member in document.members(place):
            if name in required and member not in seen:
                seen.add(member)
                members.setdefault(name, []).append(member)
    for name, schemas in members.items():
        here = (*path, name)
        conjuncts = [document.keywords(conjunct) for schema in schemas for conjunct in document.conjuncts(schema)]
        for keywords in conjuncts:
            values = [keywords["const"]] if "const" in keywords else keywords.get("enum")
            if isinstance(values, list) and values and all(isinstance(v, str | int | float | bool) for v in values):
                yield tuple(Equality(here, value) for value in values)
        # What a schema says of members holds of objects alone, so it binds only where nothing else can stand.
        if here in OBJECTS or any(keywords.get("type") == "object" for keywords in conjuncts):
            yield from _equalities(document, schemas, here, seen)
