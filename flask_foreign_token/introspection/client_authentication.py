"""How this app shows an endpoint of a provider who it is (:rfc:`6749#section-2.3`)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self
from urllib.parse import quote_plus

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ClientAuthentication:
    """What a request to an endpoint carries beside its question.

    :param headers: header fields to send.
    :param form: members that the form has in addition.
    """

    headers: Mapping[str, str] = field(repr=False)
    form: Mapping[str, str] = field(repr=False)

    @classmethod
    def as_written(cls, authorization: str) -> Self:
        """By a header that somebody wrote out: ``Basic …``, or ``Bearer …`` (:rfc:`7662#section-2.1`).

        :param authorization: the value of ``Authorization``.
        """
        return cls(MappingProxyType({"Authorization": authorization}), _NOTHING)

    @classmethod
    def basic(cls, client_id: str, client_secret: str) -> Self:
        """`client_secret_basic`: both halves are encoded as in a form before they are joined
        (:rfc:`6749#section-2.3.1`).
        """
        both = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
        return cls.as_written(f"Basic {b64encode(both.encode()).decode()}")

    @classmethod
    def post(cls, client_id: str, client_secret: str) -> Self:
        """`client_secret_post`: both stand in the form (:rfc:`6749#section-2.3.1`)."""
        return cls(_NOTHING, MappingProxyType({"client_id": client_id, "client_secret": client_secret}))
