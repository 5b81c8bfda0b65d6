"""gunicorn's configuration, where its command line has no word for it."""

import gc

from gunicorn.workers import gthread  # type: ignore[import-untyped]

from mall.serve.fair import give_slot

IDLE_LINGER_S = 0.5  # for a request that is under way on a kept connection when the end comes
COLLECT_AFTER = (5_000, 20, 50)  # new objects; then collections of the generation before

assert hasattr(gthread, "STOP_KEEPALIVE_LINGER"), "gunicorn calls it otherwise now"
gthread.STOP_KEEPALIVE_LINGER = IDLE_LINGER_S  # two seconds, which every idle browser would cost

pre_fork = give_slot


def post_worker_init(_worker: object) -> None:
    """Nothing of the application goes as long as its worker lives: collect only what came later.

    A full collection would walk all of it, and hold every request up meanwhile.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
