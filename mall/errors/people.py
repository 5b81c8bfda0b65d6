"""Who may not log in or ask: staff, members, and what WeChat says of them."""

from mall.errors.families import Forbidden, Malformed, TooMany, Unauthenticated, Unavailable


class WrongAudience(Forbidden):
    code, zh, en = "wrong_audience", "此账号不能使用该功能", "This account has no access to that."


class LoginRefused(Unauthenticated):
    code, zh, en = "login_refused", "用户名或密码不正确", "Wrong user name or password."


class TooManyLogins(TooMany):
    code = "too_many_logins"
    zh, en = (
        "密码错误次数过多，请 {minutes} 分钟后再试",
        "Too many wrong passwords, try again in {minutes} minutes.",
    )


class MemberClosed(Forbidden):
    code, zh, en = "member_closed", "该会员账号已注销", "This membership has been closed."


class WeChatCodeInvalid(Unauthenticated):
    code, zh, en = (
        "wechat_code_invalid",
        "微信登录凭证无效，请重新登录",
        "WeChat did not accept the code.",
    )


class PhoneCodeInvalid(Malformed):
    code, zh, en = (
        "phone_code_invalid",
        "手机号授权已失效，请重新点击授权",
        "WeChat did not accept the phone code, please press the button again.",
    )


class WeChatRiskUser(Forbidden):
    code, zh, en = (
        "wechat_risk_user",
        "微信提示账号存在风险，暂不能登录",
        "WeChat reports a risk on this account.",
    )


class WeChatUnavailable(Unavailable):
    code, zh, en = (
        "wechat_unavailable",
        "微信服务暂不可用，请稍后再试",
        "WeChat does not answer right now.",
    )
