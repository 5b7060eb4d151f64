"""Tables of requests and of what policies should say of them, for an application's own tests.

A table is one document::

    policies: policies.yaml
    tests:
      - name: a nurse reads patients
        request: {request-method: get, uri: /fhir/Patient, user: {roles: [nurse]}}
        allowed: true
        policy: nurses-read

``policies`` are resources, or one or several files with such, relative to the table; without it, those that the app
has stored. ``policy`` says which one must allow it, and ``named`` which ones a guard names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import Schema, ValidationError, fields, validates_schema

from ..errors import Issue, Rejected
from ..policies.request import PARTS
from ..registry.fields import Flag, Group, Line, Object, OneOrSeveral, Several, StrictSchema, flatten


@dataclass(frozen=True, slots=True)
class Row:
    """One request, and what should become of it.

    :param request: the request as policies see it; what is not in it does not exist.
    :param policy: the id of the policy that should allow it; none: any.
    :param named: ids of the policies that the view's guard names; empty: every stored policy is tried.
    """

    name: str
    request: Mapping[str, object]
    allowed: bool
    policy: str | None = None
    named: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Requests to try policies with.

    :param policies: resources, and files with such, relative to the table; none: those that are stored.
    """

    rows: tuple[Row, ...]
    policies: tuple[str | Mapping[str, object], ...] | None = None


def read_table(document: object) -> Table:
    """Read a table.

    :param document: what its JSON or YAML stands for.
    :raises Rejected: names every fault, with its path from the top.
    """
    try:
        data: dict[str, Any] = _SCHEMA.load(document)  # type: ignore[arg-type]  # it refuses whatever else it gets
    except ValidationError as error:
        raise Rejected([Issue("", path, reason) for path, reason in sorted(flatten(error.messages))]) from None
    policies = data.get("policies")
    rows = tuple(_row(index, row) for index, row in enumerate(data["tests"]))
    return Table(rows, None if policies is None else tuple(policies))


def _row(index: int, data: dict[str, Any]) -> Row:
    name = data.pop("name", f"tests.{index}")
    return Row(name=name, named=tuple(data.pop("named", ())), **data)


# A misspelt part would be missing, and a test that expects a refusal would pass for that reason alone.
_RequestSchema = StrictSchema.from_dict({part: fields.Raw(allow_none=True) for part in sorted(PARTS)}, name="Request")


class _RequestGroup(Group):
    def _deserialize(self, value: Any, *arguments: Any, **options: Any) -> Any:
        request = super()._deserialize(value, *arguments, **options)
        method = request.get("request-method")
        if isinstance(method, str) and method != method.lower():
            raise ValidationError({"request-method": ["policies see it in lower case"]})
        return request


class _RowSchema(StrictSchema):
    name = Line()
    request = _RequestGroup(_RequestSchema, required=True)
    allowed = Flag(required=True)
    policy = Line()
    named = OneOrSeveral(Line())

    @validates_schema
    def check_policy(self, data: Mapping[str, object], **_: Any) -> None:
        if "policy" in data and data.get("allowed") is False:
            raise ValidationError("says which one allows it, and allowed is false", "policy")


class _Policy(fields.Field[Any]):
    """A file, or a resource."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any) -> Any:
        if isinstance(value, Mapping):
            return Object().deserialize(value, attr, data)
        return Line(error_messages={"invalid": "must be a file, or a resource"}).deserialize(value, attr, data)


class _OneOrSeveralPolicies(Several):
    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **options: Any) -> Any:
        written = [value] if isinstance(value, str | Mapping) else value
        return super()._deserialize(written, attr, data, **options)


class _TableSchema(StrictSchema):
    policies = _OneOrSeveralPolicies(_Policy())
    tests = Several(Group(_RowSchema), longest=100_000, required=True)


_SCHEMA: Schema = _TableSchema()
