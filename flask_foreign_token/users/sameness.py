"""Whether two documents of a provider say the same of a user."""

from __future__ import annotations

from collections.abc import Mapping

from ..policies.equality import equal

_NOT_OF_THE_USER = (
    "acr aio amr at_hash aud auth_time azp c_hash cid client_id cnf event_id exp iat jti nbf nonce origin_jti rh "
    "s_hash scope scp session_state sid token_type token_use typ uti ver xms_ftd"
)
"""Names of claims that are not about the subject of a token, and may differ from one of its tokens to the next."""


def says_the_same(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Whether two documents say the same of a user; what they say of a token does not count."""
    return equal(_of_the_user(one), _of_the_user(other))


def _of_the_user(userinfo: Mapping[str, object]) -> dict[str, object]:
    others = _NOT_OF_THE_USER.split()
    return {name: value for name, value in userinfo.items() if name not in others}
