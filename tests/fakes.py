"""WeChat's side, in memory: the one fake of the suite."""

from mall.errors import MallError, PhoneCodeInvalid, WeChatCodeInvalid, WeChatUnavailable
from mall.wechat import Identity

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 32


class FakeWeChat:
    """Knows the codes `user-<name>` and `phone-<digits>`; `down` makes it answer nothing."""

    def __init__(self) -> None:
        self.down = False
        self.drawn: list[str] = []

    def log_in(self, code: str) -> Identity:
        return Identity("wxtest", f"o-{self._name(code, 'user-')}", None)

    def phone(self, code: str) -> str:
        return self._name(code, "phone-", PhoneCodeInvalid)

    def code_image(self, scene: str, *, page: str = "") -> bytes:
        self._name(f"scene-{scene}", "scene-")
        self.drawn.append(scene)
        return PNG

    def _name(self, code: str, prefix: str, refusal: type[MallError] = WeChatCodeInvalid) -> str:
        if self.down:
            raise WeChatUnavailable()
        if not code.startswith(prefix):
            raise refusal()
        return code.removeprefix(prefix)
