"""Query parameters that a route does not know are refused, as unknown fields of a body are.

A misspelled ``?version=`` would otherwise delete every version of a concept.
"""

from fastapi import Request
from fastapi.routing import APIRoute

from cdcore.errors import ConfigError

__all__ = ["check_query"]


async def check_query(request: Request) -> None:
    """Pass if a request has no query parameter that its route does not take.

    Raises:
        ConfigError: It has one.
    """
    route = request.scope["route"]
    assert isinstance(route, APIRoute)
    known = {field.alias for field in route.dependant.query_params}
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        expected = f"expected {' or '.join(sorted(known))}" if known else "this route takes none"
        raise ConfigError(f"unknown query parameter {unknown[0][:100]!r}; {expected}")
