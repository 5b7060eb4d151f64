"""What a protected request costs beside bare Flask: this package, and the others that protect Flask apps.

In process, without a server: an app is called as a WSGI server calls it. Everybody gets the same token, but for the
case of tokens that nobody has seen before, of which each is used once. Whoever asks the provider about each request is
charged for the work of asking alone: the provider works, and one waits for it, while the clock stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from itertools import cycle

from flask_foreign_token.testing import Issuer

from .bare import bare_app
from .harness import WARM_UP, Figure, Report, Sample, Work, interleaved
from .peers import PEERS, Peer, Provider
from .subjects import (
    asking,
    asking_once_each,
    check,
    environ,
    keycloak_token,
    protected_app,
    request_policy,
    token_policy,
)

GROUP = "A protected request, in process, beside bare Flask"
BARE = "bare Flask, which protects nothing"
BARE_ELSEWHERE = "bare Flask, another `uri` each time"
BARE_UNSEEN = "bare Flask, another token each time"
SEEN = "this package: a token seen before, a policy that reads the token"
SEEN_BY_REQUEST = "this package: the same, a policy that reads `uri` and method as well"
SEEN_ELSEWHERE = "this package: the same policy, another `uri` each time"
FIRST_SIGHT = "this package: first sight of a token, of a user who is known"
AUTHLIB = PEERS[0].name

NUMBER, ROUNDS = 20, 200
FEW = 2
"""Calls in a round of those that wait for the provider."""
ADDRESSES = 40
ASKED_FOR_THE_SAME = {SEEN_ELSEWHERE: BARE_ELSEWHERE, FIRST_SIGHT: BARE_UNSEEN}
"""With which of the bare ones a case is compared, where it is not :data:`BARE`: requests that differ take longer in any
app."""
LIMITS = {SEEN: 1.20, SEEN_BY_REQUEST: 1.25, SEEN_ELSEWHERE: 1.25, FIRST_SIGHT: 2.5}
ASKS = "asks the provider about each request; of that only its own work counts here, not the waiting"


def measure(report: Report) -> None:
    """Tell the ratios to bare Flask, and whether a first sight is cheaper than Authlib's check."""
    with ExitStack() as stack:
        issuer = stack.enter_context(Issuer())
        works = {**works_of_this_package(stack, issuer), **works_of_peers(issuer)}
        samples = interleaved(
            works,
            number=NUMBER,
            rounds=ROUNDS,
            numbers={peer.name: FEW for peer in PEERS if peer.introspects},
            warm_up=WARM_UP,
        )
    report.time(GROUP, BARE, samples[BARE])
    for name in ASKED_FOR_THE_SAME.values():
        report.time(GROUP, name, samples[name])
    figures = [tell(report, name, samples) for name in works if name not in (BARE, *ASKED_FOR_THE_SAME.values())]
    report.ratio(
        "First sight of a token, beside the validator of Authlib",
        FIRST_SIGHT,
        samples[FIRST_SIGHT],
        to=samples[AUTHLIB],
        limit=1.0,
    )
    report.bars("requests", "A protected request, in process", "times the cost of bare Flask", figures)


def works_of_this_package(stack: ExitStack, issuer: Issuer) -> dict[str, Work]:
    """The bare app, and this package's."""
    token = keycloak_token(issuer)
    by_token, by_request, fresh = (
        stack.enter_context(protected_app(issuer, [policy(issuer)]))
        for policy in (token_policy, request_policy, token_policy)
    )
    for app in (by_token, by_request, fresh):
        check(app, token)
    anywhere = [environ(token, f"/rooms/{number}") for number in range(ADDRESSES)]
    unseen = [environ(keycloak_token(issuer)) for _ in range(NUMBER + (WARM_UP + NUMBER) * ROUNDS)]
    request = environ(token)
    return {
        BARE: asking(bare_app(), request),
        BARE_ELSEWHERE: asking_once_each(bare_app(), cycle(anywhere)),
        BARE_UNSEEN: asking_once_each(bare_app(), cycle(unseen)),
        SEEN: asking(by_token, request),
        SEEN_BY_REQUEST: asking(by_request, request),
        SEEN_ELSEWHERE: asking_once_each(by_request, cycle(anywhere)),
        FIRST_SIGHT: asking_once_each(fresh, unseen),
    }


def works_of_peers(issuer: Issuer) -> dict[str, Work]:
    """Each peer's app, which takes good tokens and no others."""
    token = keycloak_token(issuer)
    return {peer.name: work_of(peer, issuer, token) for peer in PEERS}


def work_of(peer: Peer, issuer: Issuer, token: str) -> Work:
    """The request to the app of one peer."""
    app = peer.make(Provider.of(issuer))
    check(app, token, peer.refused)
    return asking(app, environ(token))


def tell(report: Report, name: str, samples: Mapping[str, Sample]) -> Figure:
    """How much more one of them takes than bare Flask that is asked for the same."""
    introspects = any(peer.introspects for peer in PEERS if peer.name == name)
    return report.ratio(
        GROUP,
        name,
        samples[name],
        to=samples[ASKED_FOR_THE_SAME.get(name, BARE)],
        limit=LIMITS.get(name),
        note=ASKS if introspects else "",
    )
