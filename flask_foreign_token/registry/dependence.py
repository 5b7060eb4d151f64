"""What an introspector cannot be without: its provider, and that somebody can tell whose its tokens are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ..errors import Issue, Rejected
from .holdings import Holdings
from .resources import Key, TokenIntrospector
from .uniqueness import Blame

_ABSENT = "there is no {name}"
_DELETED = "still refers to {name}; delete or change that first"
_LEFT_OUT = "{name} is left out, and without it nobody could tell whose the tokens are"
_HIDDEN_ISSUER = "is required while nobody can tell which issuer {name} names, since its tokens must not be of that"
_HIDDEN_PROVIDER = (
    "is required while nobody can tell for which provider {name} names an issuer: it may be that of this one"
)
_HIDDEN_PREFIX = (
    "is required while nobody can tell how the tokens of {name} begin, since they must not go to this one; "
    "give one, or mend or delete that"
)


@dataclass(frozen=True, slots=True)
class Dependence:
    """What there is for introspectors to depend on.

    :param providers: the ids of those that have no fault of their own.
    :param issuers: the ids of the providers of which somebody names the issuer.
    :param hides_issuer: see :attr:`.Holdings.hides_issuer`.
    :param hides_provider: see :attr:`.Holdings.hides_provider`.
    :param hides_prefix: see :attr:`.Holdings.hides_prefix`.
    :param deleted: see :meth:`.Linker.link`.
    """

    providers: Collection[str]
    issuers: Collection[str]
    hides_issuer: str | None
    hides_provider: str | None
    hides_prefix: str | None
    deleted: Collection[Key]

    @classmethod
    def on(cls, providers: Collection[str], holdings: Holdings, deleted: Collection[Key]) -> Dependence:
        """What there is where `holdings` are held."""
        return cls(
            providers=providers,
            issuers=holdings.issuers_of_providers,
            hides_issuer=holdings.hides_issuer,
            hides_provider=holdings.hides_provider,
            hides_prefix=holdings.hides_prefix,
            deleted=deleted,
        )

    def refuse_unmet(self, settings: TokenIntrospector, blame: Blame) -> None:
        """
        :raises Rejected: an introspector lacks what it depends on.
        """
        self._refuse_without_provider(settings, blame)
        self._refuse_beside_hidden_prefix(settings)
        self._refuse_without_issuer(settings)

    def _refuse_without_provider(self, settings: TokenIntrospector, blame: Blame) -> None:
        """
        :raises Rejected: its provider is not there, or is left out; not where enough is said by what was said of that.
        """
        id_ = settings.identity_provider
        if id_ is None:
            return
        key = ("IdentityProvider", id_)
        name = "/".join(key)
        if blame.leaves_out(name):
            reason = _LEFT_OUT
        elif name in blame.names or id_ in self.providers:
            return
        else:
            reason = _DELETED if key in self.deleted else _ABSENT
        raise Rejected([Issue(settings.name, "identity_provider.reference", reason.format(name=name))])

    def _refuse_beside_hidden_prefix(self, settings: TokenIntrospector) -> None:
        """Where nobody can tell how the opaque tokens of another begin, they would go to the one that takes whatever
        begins otherwise.

        One with a prefix of its own goes on. What remains: tokens of an introspector that is not active, and that
        cannot be read, go to one whose prefix they begin with too; and one of type jwt may be given an issuer which the
        hidden one names, of which whoever mends that is told.

        :raises Rejected: it is active, and takes opaque tokens without a prefix.
        """
        takes_any = settings.type == "opaque" and settings.active and settings.token_prefix is None
        if self.hides_prefix is not None and takes_any:
            raise Rejected([Issue(settings.name, "token_prefix", _HIDDEN_PREFIX.format(name=self.hides_prefix))])

    def _refuse_without_issuer(self, settings: TokenIntrospector) -> None:
        """Where an issuer may be named that nobody can read, somebody must name that of an introspector of opaque
        tokens: else its tokens might be taken for those of that other one. So it is where one is named for a provider
        that nobody can tell: it may be the provider of this one, whose tokens would be those of another issuer then.

        :raises Rejected: nobody does.
        """
        if settings.type != "opaque" or settings.jwt.iss is not None or settings.identity_provider in self.issuers:
            return
        if self.hides_issuer is not None:
            raise Rejected([Issue(settings.name, "jwt.iss", _HIDDEN_ISSUER.format(name=self.hides_issuer))])
        if self.hides_provider is not None and settings.identity_provider is not None:
            raise Rejected([Issue(settings.name, "jwt.iss", _HIDDEN_PROVIDER.format(name=self.hides_provider))])
