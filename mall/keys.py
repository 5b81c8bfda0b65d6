"""The key ring: what this shop signs, and what it recognises as its own.

A key of the ring is never used itself; each purpose gets one derived from it (HMAC-SHA256 of the
purpose's name), so that a tag made for one purpose is worth nothing for another. The first key
signs; every key verifies, which lets a ring be turned without logging anybody out.
"""

import base64
import hashlib
import hmac
import secrets
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from flask import current_app

TAG_BYTES = 16
NONCE_BYTES = 12


def ring() -> dict[str, bytes]:
    """Key names to secrets, the signing one first."""
    return _ring(current_app.config["SECRET_KEYS"])


@lru_cache(maxsize=16)
def _ring(setting: str) -> dict[str, bytes]:
    pairs = (part.partition(":") for part in setting.split(","))
    return {name: secret.encode() for name, _, secret in pairs}


def signing_name() -> str:
    """The name of the key that signs."""
    return next(iter(ring()))


def derived(purpose: str, name: str) -> bytes | None:
    """The 32-byte key for a purpose under a key of the ring; None where the ring has no such key."""
    secret = ring().get(name)
    return None if secret is None else _derived(purpose, secret)


@lru_cache(maxsize=256)
def _derived(purpose: str, secret: bytes) -> bytes:
    return hmac.digest(secret, purpose.encode(), "sha256")


def digest(purpose: str, name: str, message: bytes) -> bytes | None:
    """HMAC-SHA256 of a message for a purpose: 32 bytes, or None for a key the ring does not have."""
    key = derived(purpose, name)
    return None if key is None else hmac.digest(key, message, "sha256")


def tag(purpose: str, name: str, message: bytes) -> str | None:
    """A 128-bit tag of a message as 22 characters of base64url."""
    full = digest(purpose, name, message)
    return None if full is None else to_text(full[:TAG_BYTES])


def same(expected: str | None, given: str) -> bool:
    """Whether two tags are equal, in a time that does not tell where they differ."""
    return expected is not None and hmac.compare_digest(expected.encode(), given.encode())


def to_text(raw: bytes) -> str:
    """Bytes as base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sha256_hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def seal(purpose: str, message: bytes) -> bytes:
    """A message that only this shop can read: AES-256-GCM under the ring's signing key."""
    name = signing_name()
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed = AESGCM(derived(purpose, name) or b"").encrypt(nonce, message, name.encode())
    return name.encode() + b"." + nonce + sealed


def unseal(purpose: str, sealed: bytes) -> bytes | None:
    """What was sealed; None where the ring has lost the key or the bytes are not ours."""
    name, _, rest = sealed.partition(b".")
    key = derived(purpose, name.decode("ascii", "replace"))
    if key is None:
        return None
    try:
        return AESGCM(key).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], name)
    except InvalidTag:
        return None
