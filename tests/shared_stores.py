"""A Redis in memory, as far as cachelib asks for one, that tests have in their hands."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from flask_foreign_token.redis_cache import RedisStore
from flask_foreign_token.sealing import Seal
from flask_foreign_token.shared_cache import OnAsked, SharedCache

from .loading import Clock

SECRET = "a secret that all workers know, 32"


@dataclasses.dataclass
class Memory:
    """What redis-py's client is to cachelib; texts end when their time is over."""

    clock: Clock
    kept: dict[str, tuple[bytes, float]] = dataclasses.field(default_factory=dict)
    error: Exception | None = None
    calls: int = 0
    before: Callable[[str], object] = lambda command: None

    def get(self, name: str) -> bytes | None:
        self._call("get")
        text, until = self.kept.get(name, (None, 0.0))
        return text if until > self.clock() else None

    def set(self, name: str, value: bytes, ex: float, nx: bool = False) -> bool | None:
        self._call("set nx" if nx else "set")
        if nx and self.kept.get(name, (None, 0.0))[1] > self.clock():
            return None
        self.kept[name] = value, self.clock() + ex
        return True

    def delete(self, name: str) -> int:
        self._call("delete")
        return int(self.kept.pop(name, None) is not None)

    def only(self) -> str:
        """The one key there is."""
        (key,) = self.kept
        return key

    def write(self, key: str, text: bytes) -> None:
        """What a stranger does."""
        self.kept[key] = text, float("inf")

    def _call(self, command: str) -> None:
        self.calls += 1
        self.before(command)
        if self.error is not None:
            raise self.error


def ignore(kind: str, result: str) -> None:
    """Nobody counts."""


def shared_in(
    memory: Any, clock: Clock, *, app: str = "clinic", secret: str = SECRET, on_asked: OnAsked = ignore
) -> SharedCache:
    """The cache of a worker."""
    seal = Seal(secret.encode())
    return SharedCache(RedisStore(memory, seal), seal, app=app, clock=clock, on_asked=on_asked)
