"""The request as a policy in Python gets it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from ..introspection.frozen import thawed
from .request import RequestView

if TYPE_CHECKING:
    from _collections_abc import dict_items, dict_values

_UNBUILT: Final = object()


class OwnRequest(dict[str, Any]):
    """What policies see of a request, as a dictionary of its own, in plain dictionaries and lists.

    A part is built when it is looked at; what is done to it changes nothing elsewhere. The body is parsed only when it
    is looked at, and :exc:`.UnreadablePart` raised then where it cannot be read.
    """

    __slots__ = ("_view",)

    def __init__(self, view: RequestView) -> None:
        super().__init__(dict.fromkeys(view.existing(), _UNBUILT))
        self._view = view

    def __getitem__(self, name: str) -> Any:
        part = super().__getitem__(name)
        if part is _UNBUILT:
            part = self[name] = thawed(self._view[name])
        return part

    # Without it, dict(request) and {**request} would pass __getitem__ by.
    def __iter__(self) -> Iterator[str]:
        return super().__iter__()

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def items(self) -> dict_items[str, Any]:
        self._build_all()
        return super().items()

    def values(self) -> dict_values[str, Any]:
        self._build_all()
        return super().values()

    def copy(self) -> dict[str, Any]:
        return dict(self)

    def pop(self, name: str, *default: Any) -> Any:
        self.get(name)
        return super().pop(name, *default)

    def popitem(self) -> tuple[str, Any]:
        self._build_all()
        return super().popitem()

    def setdefault(self, name: str, default: Any = None) -> Any:
        self.get(name)
        return super().setdefault(name, default)

    def __eq__(self, other: object) -> bool:
        return dict(self) == other

    def __ne__(self, other: object) -> bool:
        return dict(self) != other

    def __or__(self, other: Any) -> Any:
        return dict(self) | other

    def __ror__(self, other: Any) -> Any:
        return other | dict(self)

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)

    def _build_all(self) -> None:
        for name in self:
            self.get(name)
