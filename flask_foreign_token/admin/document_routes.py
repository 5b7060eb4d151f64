"""The endpoints that say what the others are: for programs, and for people."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from flask import Response, request

from ..policies.engines import BUILT_IN
from .answers import answer, media_type_for
from .openapi.document import document
from .openapi.page import SECURITY, page
from .openapi.rules import Traits
from .route import Route

if TYPE_CHECKING:
    from ..application import Application
    from .openapi.attributes import Json

OPENAPI: Final = "openapi"
API_DOCS: Final = "api_docs"

NAMES: Final = frozenset({OPENAPI, API_DOCS})


def routes(application: Application) -> list[Route]:
    """The endpoints of one app."""
    views = _Views(application)
    return [
        Route(OPENAPI, "GET", "/openapi.json", views.openapi),
        Route(API_DOCS, "GET", "/docs", views.api_docs),
    ]


class _Views:
    """Both endpoints. What they show is made once."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def openapi(self) -> Response:
        media_type = media_type_for(request)
        return answer({**self._document, "servers": [{"url": self._mount()}]}, media_type)

    def api_docs(self) -> Response:
        headers = {**SECURITY, "Cache-Control": "no-store"}
        return Response(self._page, headers=headers, content_type="text/html; charset=utf-8")

    def _mount(self) -> str:
        """Where the API is, as the caller sees it: below another app, say."""
        return f"{request.root_path}{self._prefix}"

    @property
    def _prefix(self) -> str:
        return self._application.settings.admin_url_prefix or ""

    @cached_property
    def _document(self) -> Json:
        return document(self._application.app.url_map.iter_rules(), self._prefix, self._traits())

    def _traits(self) -> Traits:
        settings, engines = self._application.settings, self._application.runtime().engines.names
        return Traits(
            engines=tuple(name for name in engines if name not in BUILT_IN),
            has_sql=settings.sql_uri is not None,
            needs_audience=settings.require_audience and settings.resource is None,
            own=self._application.models.own,
        )

    @cached_property
    def _page(self) -> str:
        return page(self._document)
