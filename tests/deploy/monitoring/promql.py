"""What the questions of the dashboard are about."""

import promql_parser

from deploy.monitoring.panels import ROWS, Query

__all__ = ["names_in", "parts_of", "selections_in"]


def parts_of(query: Query) -> list[promql_parser.Expr]:
    """All parts of a question, the outermost first; it is refused if it is no PromQL."""
    asked = promql_parser.parse(query.expression.replace("$__rate_interval", "1m"))
    found: list[promql_parser.Expr] = []
    promql_parser.walk(asked, pre_visit=found.append)
    return found


def selections_in(row: str) -> list[tuple[str, set[str]]]:
    """The metrics that a row asks for, each with the labels by which it chooses among them."""
    return [
        (str(selector.name), {matcher.name for matcher in selector.matchers.matchers})
        for panel in ROWS[row]
        for query in panel.queries
        for part in parts_of(query)
        for selector in [getattr(part, "vector_selector", part)]
        if isinstance(selector, promql_parser.VectorSelector)
    ]


def names_in(row: str) -> set[str]:
    """The metrics that a row asks for."""
    return {name for name, _ in selections_in(row)}
