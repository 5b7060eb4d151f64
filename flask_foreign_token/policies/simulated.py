"""Requests that nobody made, for policies to be tried with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ..errors import InvalidToken, Rejected
from ..faults import Faults
from ..introspection.parse import parse
from .request import HIDDEN_HEADERS, RequestView

LoadUser = Callable[[str], Mapping[str, object] | None]
"""The User resource of that id; none: there is no such user."""

_USER_ID, _CLIENT_ID = "user-id", "client-id"
_CREDENTIAL: Final = "headers.authorization"


class SimulatedView(RequestView):
    """A request object of which only the given parts exist, in which nothing is built."""

    __slots__ = ()

    is_made = False

    def __missing__(self, name: str) -> object:
        raise KeyError(name)

    def complete(self) -> dict[str, object]:
        return dict(self)

    def existing(self) -> list[str]:
        return list(self)


@dataclass(frozen=True, slots=True)
class Simulation:
    """A request as it is told to ``POST /auth/test-policy``.

    :param view: what policies see of it.
    :param with_unverified_token: whether its ``jwt`` are the claims of a token that nobody has verified.
    """

    view: RequestView
    with_unverified_token: bool


def simulated(parts: Mapping[str, object]) -> RequestView:
    """A request object that has `parts`, as they are, and no others."""
    view = SimulatedView(None, None, None)  # type: ignore[arg-type]  # there is no request that it could be built from
    view.update(parts)
    return view


def simulate(written: Mapping[str, object], load_user: LoadUser) -> Simulation:
    """The request that somebody wants to try a policy with.

    Members are the parts of the request object, as they are. Beside that, ``user-id`` loads a user, ``client-id`` says
    which client asks, and a bearer token in ``headers.authorization`` gives ``jwt``, and ``client`` where nothing else
    does. It is taken apart and *not* verified, so that a policy can be tried before its introspector is there.

    :raises Rejected: it says the same in two ways, names a user that is not there, or brings what is no JWT.
    """
    parts = {name: value for name, value in written.items() if name not in (_USER_ID, _CLIENT_ID)}
    faults = Faults()
    with faults.gathered():
        parts.update(_user(written, load_user))
    with faults.gathered():
        parts.update(_client(written))
    with faults.gathered():
        claims = _claims(written)
    method = written.get("request-method")
    if isinstance(method, str) and method != method.lower():
        faults.add("", "request-method", "policies see it in lower case")
    faults.raise_any()
    headers = written.get("headers")
    if isinstance(headers, Mapping):
        parts["headers"] = {name: value for name, value in headers.items() if name.lower() not in HIDDEN_HEADERS}
    if claims is not None:
        parts["jwt"] = claims
        client = claims.get("azp") or claims.get("client_id")
        if isinstance(client, str):
            parts.setdefault("client", {"id": client})
    return Simulation(simulated(parts), claims is not None)


def _user(written: Mapping[str, object], load_user: LoadUser) -> dict[str, object]:
    id_ = _id(written, _USER_ID, "user")
    if id_ is None:
        return {}
    user = load_user(id_)
    if user is None:
        raise Rejected.at(_USER_ID, "there is no such user; say user, with what policies are to see of one")
    return {"user": user}


def _client(written: Mapping[str, object]) -> dict[str, object]:
    id_ = _id(written, _CLIENT_ID, "client")
    return {} if id_ is None else {"client": {"id": id_}}


def _id(written: Mapping[str, object], name: str, part: str) -> str | None:
    if name not in written:
        return None
    id_ = written[name]
    if not isinstance(id_, str) or not id_:
        raise Rejected.at(name, "must be an id, a text")
    if part in written:
        raise Rejected.at(name, f"cannot stand beside {part}; say one of them")
    return id_


def _claims(written: Mapping[str, object]) -> Mapping[str, object] | None:
    """What the bearer token in the headers says; none: there is no such token."""
    headers = written.get("headers")
    if not isinstance(headers, Mapping):
        return None
    credential = next((value for name, value in headers.items() if name.lower() == "authorization"), None)
    scheme, _, token = credential.partition(" ") if isinstance(credential, str) else ("", "", "")
    if scheme.lower() != "bearer":
        # The app's own, which says nothing to policies.
        return None
    for part in ("jwt", "token"):
        if part in written:
            raise Rejected.at(_CREDENTIAL, f"a token cannot stand beside {part}; say one of them")
    try:
        return parse(token.strip()).claims
    except InvalidToken as refusal:
        reason = f"no JWT: {refusal.description}"
        raise Rejected.at(_CREDENTIAL, f"{reason}; of an opaque token, say under token what its issuer says") from None
