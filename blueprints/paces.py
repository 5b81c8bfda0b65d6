"""Rate limits before views, and what is left of them in the answers' headers.

`RateLimit-Policy` and `RateLimit` are those of draft-ietf-httpapi-ratelimit-headers.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Response, g, request

from mall.guards import pace
from mall.guards.pace import Left, Pace


def check(subject: str, limit: Pace) -> None:
    """Let a request pass, or raise TooMany; what is left goes into the answer."""
    g.setdefault("paces", []).append(limit)
    left = pace.check(subject, limit)
    if left is not None:
        g.setdefault("left", []).append(left)


def check_address(limit: Pace) -> None:
    check(pace.of_address(request.remote_addr), limit)


def paced(limit: Callable[[], Pace]) -> Callable[..., Any]:
    """A limit of a caller's on one route, beside the one on all."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def asked(*args: Any, **kwargs: Any) -> Any:
            check(g.caller, limit())
            return view(*args, **kwargs)

        return asked

    return decorate


def tell(response: Response) -> None:
    """Say what a caller has left; one who was too fast has nothing left of the last limit."""
    paces: list[Pace] = g.get("paces", [])
    left: list[Left] = g.get("left", [])
    if response.status_code == 429 and len(paces) > len(left):
        retry_s = int(response.headers.get("Retry-After", 1))
        left = [*left, Left(paces[-1], 0, retry_s)]
    if not left:
        return
    response.headers["RateLimit-Policy"] = ", ".join(
        f'"{each.pace.name}";q={each.pace.burst};w={each.pace.window_s}' for each in left
    )
    response.headers["RateLimit"] = ", ".join(
        f'"{each.pace.name}";r={each.requests};t={each.full_in_s}' for each in left
    )
