"""Signed tokens: a shopper's session, and the scan that stands for a member at a till.

They carry what they say and are looked up nowhere; itsdangerous signs them with the key ring.
"""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from itsdangerous import BadData, URLSafeSerializer
from itsdangerous.encoding import base64_decode, base64_encode

from mall import keys
from mall.errors import ScanExpired, Unauthenticated

SHOPPER_LASTS = timedelta(hours=2)
SCAN_LASTS = timedelta(minutes=10)
SHOPPER_PREFIX = "s."


@lru_cache(maxsize=16)
def _serializer(purpose: str, secrets: tuple[bytes, ...]) -> URLSafeSerializer:
    return URLSafeSerializer(list(secrets), salt=purpose)


def _signer(purpose: str) -> URLSafeSerializer:
    secrets = [keys.derived(purpose, name) or b"" for name in keys.ring()]
    return _serializer(purpose, tuple(reversed(secrets)))  # it signs with the last


def _loads(purpose: str, token: str) -> Any:
    return _read(_signer(purpose), token)


@lru_cache(maxsize=10_000)
def _read(signer: URLSafeSerializer, token: str) -> Any:
    """What a token says, for as long as this ring holds: whether it is over is asked each time.

    Of the many spellings that base64 reads alike, only ours is one.
    """
    for part in token.split("."):
        if base64_encode(base64_decode(part)).decode() != part:
            raise BadData("not our spelling")
    return signer.loads(token)


def for_shopper(member_id: int, *, now: datetime) -> tuple[str, int]:
    """A shopper's access token, and the seconds it lasts."""
    lasts_s = int(SHOPPER_LASTS.total_seconds())
    until = int(now.timestamp()) + lasts_s
    return SHOPPER_PREFIX + str(_signer("shopper").dumps([member_id, until])), lasts_s


def shopper_of(token: str, *, now: datetime) -> int:
    """The member a token stands for; raises Unauthenticated."""
    try:
        member_id, until = _loads("shopper", token.removeprefix(SHOPPER_PREFIX))
    except BadData:
        raise Unauthenticated() from None
    if until <= now.timestamp():
        raise Unauthenticated()
    return int(member_id)


def for_scan(member_id: int, *, staff_id: int, now: datetime) -> str:
    """Stands for a scanned member, for this clerk and ten minutes."""
    until = int((now + SCAN_LASTS).timestamp())
    return str(_signer("scan").dumps([member_id, staff_id, until]))


def scanned(token: str, *, staff_id: int, now: datetime) -> int:
    """The member this clerk scanned; raises ScanExpired for another's, an old or a forged token."""
    try:
        member_id, by, until = _loads("scan", token)
    except BadData:
        raise ScanExpired() from None
    if by != staff_id or until <= now.timestamp():
        raise ScanExpired()
    return int(member_id)
