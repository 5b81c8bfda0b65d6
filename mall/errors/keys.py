"""Idempotency keys that are missing, broken, taken or too old."""

from mall.errors.families import Malformed, MallError, Refused


class KeyMissing(Malformed):
    code, zh, en = "idempotency_key_missing", "缺少 Idempotency-Key", "Idempotency-Key is missing."


class KeyInvalid(Malformed):
    code = "idempotency_key_invalid"
    zh, en = (
        "Idempotency-Key 应为 16 至 64 位字母、数字、_ 或 -",
        "Idempotency-Key takes 16 to 64 of A-Za-z0-9_-.",
    )


class KeyReused(MallError):
    """422: the key was used with another body."""

    code = "idempotency_key_reused"
    zh, en = "此 Idempotency-Key 已用于另一请求", "This Idempotency-Key was used with another body."


class KeyInProgress(Refused):
    code = "idempotency_key_in_progress"
    zh, en = "同一请求正在处理，请稍候", "The first request with this key is still running."
    retry_after_s = 1


class KeyExpired(Refused):
    code = "idempotency_key_expired"
    zh, en = "此请求早已处理完毕", "This key was used over a week ago."
