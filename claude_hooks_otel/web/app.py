"""The page as a web application: which address shows what. Every answer is read from the store, which is open for reading only."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from claude_hooks_otel.home.paths import Home
from claude_hooks_otel.report.ranges import RangeError
from claude_hooks_otel.report.tool_names import shown as shown_as
from claude_hooks_otel.series.aggregates import BUCKET
from claude_hooks_otel.store.connection import connect
from claude_hooks_otel.store.damage import explain
from claude_hooks_otel.units import END_OF_TIME
from claude_hooks_otel.web.memory import Memory
from claude_hooks_otel.web.pages import agents, health, live, overview, quality, session, sessions, technical
from claude_hooks_otel.web.question import PRESETS, Question, address
from claude_hooks_otel.web.tables import FORMS, Table
from claude_hooks_otel.web.view import Page, View

STATIC: Final = Path(__file__).parent / "static"
# The pages of a range: name → title, path, and what makes it.
RANGED: Final[dict[str, tuple[str, str, Callable[[View], Page]]]] = {
    "overview": ("Overview", "/", overview.build),
    "agents": ("Agents", "/agents", agents.build),
    "quality": ("Quality", "/quality", quality.build),
    "technical": ("Technical", "/technical", technical.build),
    "sessions": ("Sessions", "/sessions", sessions.build),
}
# Seconds between two looks at what runs, and seconds after which a silent stream says that it is there.
LOOK_EVERY, ALIVE_EVERY = 0.4, 15.0
_YEAR: Final = 31_536_000
_RANGE_PARAMETERS: Final = ("range", "last", "since", "until")


class Site:
    """The page of one home.

    Args:
        home: the home.
        environ: the environment, for the checks on the health page.
        now_ns: the clock, Unix nanoseconds.
        is_over: returns whether the server stops. Then streams end.

    Attributes:
        memory: what is kept between two clicks. Close it at the end.
    """

    def __init__(
        self,
        home: Home,
        environ: Mapping[str, str],
        now_ns: Callable[[], int] = time.time_ns,
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        self._home = home
        self._environ = environ
        self._is_over = is_over
        self._now_ns = now_ns
        self.memory = Memory(home)
        self._version = _digest()
        self._templates = Environment(
            loader=PackageLoader("claude_hooks_otel.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["codes"] = codes
        self._templates.globals["static"] = lambda name: f"/static/{name}?v={self._version}"

    def app(self) -> Starlette:
        """Return the application. It does not check who asks: that is the guard's work."""
        routes: list[Route | Mount] = [
            Route(path, self._ranged(name), methods=["GET"]) for name, (_, path, _) in RANGED.items()
        ]
        routes += [
            Route("/sessions/{session_id}", self._session, methods=["GET"]),
            Route("/live", self._live, methods=["GET"]),
            Route("/live/events", self._events, methods=["GET"]),
            Route("/health", self._health, methods=["GET"]),
            Route("/health/checks", self._checks, methods=["GET"]),
            Route("/tables/{page}/{table}.{form}", self._table, methods=["GET"]),
            Mount("/static", _Files(directory=STATIC)),
        ]
        handlers: Any = {
            HTTPException: self._not_found,
            RangeError: self._bad_range,
            sqlite3.Error: self._unreadable,
        }
        return Starlette(routes=routes, exception_handlers=handlers)

    def warm_up(self) -> None:
        """Read what the first clicks need into memory. A store that cannot be read is left to the page."""
        with contextlib.suppress(sqlite3.Error), self._opened() as connection:
            if connection is not None:
                view = View(self._home, connection, self.memory, Question.of((), self._now_ns()), {})
                for build in (overview.build, sessions.build, agents.build):
                    build(view)

    # -- pages ---------------------------------------------------------------------------------------------------------------

    def _ranged(self, name: str) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            question = Question.of(request.query_params.multi_items(), self._now_ns())
            with self._opened() as connection:
                if connection is None:
                    page = Page(name, RANGED[name][0])
                    return self._draw(request, page, name, **self._of_range(request, question, None))
                view = View(self._home, connection, self.memory, question, dict(request.query_params))
                page = Page(name, RANGED[name][0]) if view.is_empty() else RANGED[name][2](view)
                return self._draw(request, page, name, **self._of_range(request, question, view))

        return answer

    def _of_range(self, request: Request, question: Question, view: View | None) -> dict[str, Any]:
        """Return what every page of a range shows."""
        path = request.url.path
        kept = [each for each in question.parameters if each[0] not in _RANGE_PARAMETERS]
        presets = [
            (title, address(path, [*part.items(), *kept]), title == question.preset) for title, part in PRESETS.items()
        ]
        within = question.within
        newest = view.connection.execute("SELECT MAX(bucket) FROM aggregate").fetchone()[0] if view else None
        is_dated = any(name in ("since", "until") for name, _ in question.parameters)
        return {
            "question": question,
            "path": path,
            "shown_as": shown_as,
            "presets": presets,
            "since": f"{within.local(within.since_ns):%Y-%m-%d}" if is_dated and within.since_ns else "",
            "until": f"{within.local(within.until_ns - 1):%Y-%m-%d}"
            if is_dated and within.until_ns < END_OF_TIME
            else "",
            "choices": view.choices() if view else {},
            "is_empty": newest is None,
            "is_installed": self._home.interpreter.exists(),
            "newest": "" if newest is None else f"{within.local(newest * BUCKET):%Y-%m-%d}",
            "everything": address(path, [("range", "all"), *kept]),
            "unfiltered": address(path, [each for each in question.parameters if each[0] in _RANGE_PARAMETERS]),
        }

    def _session(self, request: Request) -> Response:
        question = Question.of((), self._now_ns())
        with self._opened() as connection:
            if connection is None:
                raise HTTPException(404)
            view = View(self._home, connection, self.memory, question, dict(request.query_params))
            page = session.build(view, request.path_params["session_id"])
            if page is None:
                raise HTTPException(404, "There is no such session. Sessions are deleted after `retention_days`.")
            return self._draw(request, page, "sessions")

    def _live(self, request: Request) -> Response:
        return self._draw(request, self._running(), "live")

    def _running(self) -> Page:
        with self._opened() as connection:
            if connection is None:
                return Page("live", "Live", {}, {"sessions": [], "running": 0, "working": 0, "waiting": 0, "cost": "–"})
            return live.build(connection, self._now_ns())

    async def _events(self, request: Request) -> Response:
        return StreamingResponse(self._stream(request), media_type="text/event-stream")

    async def _stream(self, request: Request) -> AsyncIterator[str]:
        """Yield what runs whenever it changes, as server-sent events."""
        last: object = None
        silent = 0.0
        while not (self._is_over() or await request.is_disconnected()):
            try:
                page = await run_in_threadpool(self._running)
            except sqlite3.Error:  # the store is busy or away for a moment
                await asyncio.sleep(LOOK_EVERY)
                continue
            records = page.tables["live"].records if page.tables else []
            if records != last:
                last, silent = records, 0.0
                part = self._templates.get_template("live_part.html").render(**page.values)
                yield f"event: live\ndata: {json.dumps(part)}\n\n"
            elif silent >= ALIVE_EVERY:
                silent = 0.0
                yield ": alive\n\n"
            await asyncio.sleep(LOOK_EVERY)
            silent += LOOK_EVERY

    def _health(self, request: Request) -> Response:
        part = None
        if request.query_params.get("checks"):
            checks = health.checks(self._environ)
            part = self._templates.get_template("checks_part.html").render(**checks.values)
        return self._draw(request, health.build(self._home, self._environ), "health", checks=_safe(part))

    def _checks(self, _: Request) -> Response:
        return HTMLResponse(
            self._templates.get_template("checks_part.html").render(**health.checks(self._environ).values)
        )

    # -- tables --------------------------------------------------------------------------------------------------------------

    def _table(self, request: Request) -> Response:
        """Return one table with exact values."""
        name, form = request.path_params["table"], request.path_params["form"]
        table = self._tables(request).get(name)
        if table is None or form not in FORMS:
            raise HTTPException(404)
        if form == "json":
            return JSONResponse(table.as_json())
        headers = {"Content-Disposition": f'attachment; filename="{table.name}.csv"'}
        return Response(table.as_csv(), media_type="text/csv", headers=headers)

    def _tables(self, request: Request) -> dict[str, Table]:
        page, parameters = request.path_params["page"], dict(request.query_params)
        if page == "health":
            return dict(health.build(self._home, self._environ).tables)
        if page == "live":
            return dict(self._running().tables)
        question = Question.of(request.query_params.multi_items(), self._now_ns())
        with self._opened() as connection:
            if connection is None:
                return {}
            view = View(self._home, connection, self.memory, question, parameters, is_export=True)
            if page == "session":
                found = session.build(view, parameters.get("session", ""))
                return dict(found.tables) if found else {}
            return dict(RANGED[page][2](view).tables) if page in RANGED else {}

    # -- what all share --------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection | None]:
        """Open the store for reading; None if there is none yet."""
        if not self._home.store.exists():
            yield None
            return
        with closing(connect(self._home.store, readonly=True)) as connection:
            yield connection

    def _draw(self, request: Request, page: Page, active: str, *, status: int = 200, **values: Any) -> Response:
        question: Question | None = values.get("question")
        theme = request.cookies.get("theme", "")

        def exports(table: str, form: str) -> str:
            if page.name == "session":
                return address(f"/tables/session/{table}.{form}", [("session", request.path_params["session_id"])])
            more = [(name, value) for name, value in request.query_params.multi_items() if name in ("q", "sort")]
            return address(f"/tables/{page.name}/{table}.{form}", [*(question.parameters if question else ()), *more])

        site = [
            (name, title, question.url(path) if question else path) for name, (title, path, _) in RANGED.items()
        ] + [("live", "Live", "/live"), ("health", "Health", "/health")]
        given = {name: value for name, value in page.values.items() if name != "page"}
        text = self._templates.get_template(f"{page.name}.html").render(
            **{
                "page": page,
                "page_number": page.values.get("page", 1),
                "active": active,
                "theme": theme if theme in ("light", "dark") else "",
                "pages_of_the_site": site,
                "exports": exports,
                **given,
                **values,
            }
        )
        return HTMLResponse(text, status)

    def _message(self, request: Request, title: str, message: str, status: int) -> Response:
        return self._draw(request, Page("message", title, {}, {"message": message}), "", status=status)

    def _not_found(self, request: Request, error: HTTPException) -> Response:
        message = (
            error.detail
            if error.status_code == 404 and " " in error.detail.strip() and error.detail != "Not Found"
            else ""
        )
        return self._message(request, "Not found", message or "There is nothing at this address.", error.status_code)

    def _bad_range(self, request: Request, error: RangeError) -> Response:
        return self._message(request, "This range makes no sense", f"{error}.", 400)

    def _unreadable(self, request: Request, error: sqlite3.Error) -> Response:
        return self._message(request, "The store cannot be read", explain(self._home.store, error), 503)


class _Files(StaticFiles):
    """The files of the page. Their addresses change with their content, so a browser may keep them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = f"private, max-age={_YEAR}, immutable"
        return response


def _digest() -> str:
    """Return a text that changes whenever a file of the page does."""
    digest = hashlib.sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def codes(text: str) -> Markup:
    """Return a text for people as HTML: what is between backticks is code.

    >>> codes("Run `claude` & wait")
    Markup('Run <code>claude</code> &amp; wait')
    """
    parts = [escape(part) for part in text.split("`")]
    if len(parts) % 2 == 0:
        return escape(text)
    drawn = [Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in enumerate(parts)]
    return Markup("").join(drawn)


def _safe(part: str | None) -> Any:
    return None if part is None else Markup(part)  # noqa: S704 — a template has drawn it, with everything escaped
