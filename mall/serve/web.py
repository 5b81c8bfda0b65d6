"""gunicorn's configuration, where its command line has no word for it."""

from gunicorn.workers import gthread  # type: ignore[import-untyped]

from mall.serve.fair import give_slot

IDLE_LINGER_S = 0.5  # for a request that is under way on a kept connection when the end comes

assert hasattr(gthread, "STOP_KEEPALIVE_LINGER"), "gunicorn calls it otherwise now"
gthread.STOP_KEEPALIVE_LINGER = IDLE_LINGER_S  # two seconds, which every idle browser would cost

pre_fork = give_slot
