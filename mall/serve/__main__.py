"""Run the shop until SIGINT or SIGTERM: exit code 0 then, 1 if it can't run, 2 for a setting.

With `--end-with-parent`, as make calls it, the parent's death counts as SIGTERM (on Linux).
"""

import os
import sys
import time
from contextlib import ExitStack
from io import TextIOWrapper

from mall.serve import place, programs
from mall.serve.children import end_with
from mall.serve.manager import Manager, say
from mall.serve.place import CannotStart
from mall.serve.signals import Signals, Stop
from mall.settings import Settings, WrongSetting, load

WITH_PARENT = "--end-with-parent"
STAFF = ("admin", "owner", "clerk-a", "clerk-b")


def main() -> int:
    """Run the shop; the answer is the exit code."""
    started = time.monotonic()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows no Chinese
    signals = Signals()
    if WITH_PARENT in sys.argv[1:]:
        end_with(os.getppid())
    try:
        return _run(signals, started)
    finally:
        signals.mind_no_more()


def _run(signals: Signals, started: float) -> int:
    try:
        settings = load()
        with ExitStack() as at_end:
            _serve(_prepare(settings, signals, at_end), started)
    except Stop:
        return 0
    except WrongSetting as wrong:
        say(str(wrong))
        return 2
    except CannotStart as reason:
        say(str(reason))
    return 1


def _prepare(settings: Settings, signals: Signals, at_end: ExitStack) -> Manager:
    """Take what must be this copy's own; it is given back at the end, in reverse order."""
    if settings.embedded_redis:
        place.check_socket_path(settings.data_dir / "redis.sock")
    place.make_folder(settings.data_dir)
    lock = place.take_lock(settings.data_dir)
    at_end.callback(place.free_lock, lock)
    family_lock = place.take_family_lock(settings.data_dir, signals)
    at_end.callback(place.free_lock, family_lock)
    listener = at_end.enter_context(place.listen(settings.host, settings.port))
    manager = Manager(_with_key_ring(settings), signals, listener, family_lock)
    at_end.callback(manager.end)
    return manager


def _with_key_ring(settings: Settings) -> Settings:
    """The settings with a key ring; read anew, for only now nobody else can be making one."""
    if settings.secret_keys:
        return settings
    place.make_key_ring(settings.data_dir)
    return load()


def _serve(manager: Manager, started: float) -> None:
    manager.start()
    try:
        print(_announcement(manager.settings, time.monotonic() - started), flush=True)
    except OSError:
        pass  # nobody reads; the shop runs all the same
    manager.supervise()


def _announcement(settings: Settings, took_s: float) -> str:
    host = programs.reachable(settings.host)
    base = f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"
    lines = [
        f"会员运营中心已启动，用时 {took_s:.1f} 秒。按 Ctrl-C 停止。",
        f"The membership centre is up after {took_s:.1f} s. Ctrl-C stops it.",
        f"  首页 Home                {base}/",
        f"  接口文档 API docs        {base}/api/docs",
        f"  接口地址 API base        {base}/api/v1",
    ]
    if settings.sandbox:
        names = "  ".join(f"{name}/demo-{name}" for name in STAFF)
        lines += [
            f"  微信沙箱 WeChat sandbox  {settings.wechat_api_url}/",
            f"  演示账号 Demo staff      {names}",
            "  顾客登录 Shopper code    sandbox-<name>",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
