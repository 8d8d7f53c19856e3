"""Who may ask: the owner of an API key, or, where there are none, whoever is on this machine.

Without keys a request is answered only if it comes from a loopback address, to a loopback address,
and names one as its host. So a service that is bound elsewhere asks for keys, and a web page whose
name was pointed at this machine, or a proxy beside it that serves others, is refused.
"""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException
from starlette.types import Scope

from serve.api.service import Service
from serve.catalogue.caller import ANYONE, Caller
from serve.policies.loopback import is_loopback

__all__ = ["CallerDependency", "ServiceDependency", "is_local"]

_bearer = HTTPBearer(auto_error=False, description="An API key, where the service has keys.")
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


def is_local(scope: Scope, host: str) -> bool:
    """Whether a request has not left this machine.

    Args:
        scope: The request's scope, with the addresses of both ends.
        host: The request's Host header.
    """
    named = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    ends = (scope.get("client"), scope.get("server"))
    return all(end is not None and is_loopback(str(end[0])) for end in ends) and is_loopback(
        named.strip("[]")
    )


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDependency = Annotated[Service, Depends(_service)]


async def _authenticate(
    request: Request,
    service: ServiceDependency,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Caller:
    if service.keys is None:
        if not is_local(request.scope, request.headers.get("host", "")):
            raise HTTPException(
                401,
                "this service has no API keys, so it answers requests of its own machine only; "
                "start it with keys (docs/serving.md)",
                _CHALLENGE,
            )
        return ANYONE
    caller = None if credentials is None else service.keys.caller(credentials.credentials)
    if caller is None:
        raise HTTPException(
            401, "the API key is missing or wrong; send Authorization: Bearer KEY", _CHALLENGE
        )
    request.state.noted = {"owner": caller.owner}
    return caller


CallerDependency = Annotated[Caller, Depends(_authenticate)]
