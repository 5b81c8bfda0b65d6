"""The guards' tests have the mall's dead Redis too."""

from tests.mall.conftest import dead_redis

__all__ = ["dead_redis"]
