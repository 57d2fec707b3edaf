"""The routes of a server as a page that needs no other host, made from its OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alpr.reports.html import Page, table


def routes_page(document: Mapping[str, Any]) -> str:
    """The page: every route with its query, what its body may be, and its answers.

    Args:
        document: an OpenAPI document, as FastAPI makes it.
    """
    info = document["info"]
    page = Page(f"{info['title']} {info['version']}", f"{info['summary']} The same for programs is openapi.json.")
    by_tag: dict[str, list[tuple[str, ...]]] = {}
    answers: dict[str, str] = {}
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            by_tag.setdefault(route["tags"][0], []).append(_row(f"{method.upper()} {path}", route))
            answers |= {status: one["description"] for status, one in route["responses"].items()}
    for tag, rows in by_tag.items():
        page.add(tag.capitalize(), table(("route", "gives", "query", "body"), rows))
    page.add("Answers", table(("status", "when"), sorted(answers.items())))
    return page.render()


def _row(title: str, route: Mapping[str, Any]) -> tuple[str, ...]:
    about = " ".join(route.get("description", route.get("summary", "")).split())
    query = "; ".join(
        ": ".join(filter(None, (one["name"], one.get("description")))) for one in route.get("parameters", ())
    )
    return title, about, query, " or ".join(route.get("requestBody", {}).get("content", ()))
