"""Who may not log in or ask: staff, members, and what WeChat says of them."""

from mall.errors.families import (
    Forbidden,
    Malformed,
    Refused,
    TooMany,
    Unauthenticated,
    Unavailable,
)


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


class ClosedLately(Forbidden):
    code = "closed_lately"
    zh = "该账号已注销，{days} 天后可以重新加入"
    en = "This account was closed. You can join again in {days} days."


class ClosureChanged(Refused):
    code = "closure_changed"
    zh = "账户内容已变化，当前有 {points} 积分，请重新确认"
    en = "What the account holds has changed: {points} points now. Please look again."


class PolicyUnknown(Refused):
    code = "policy_unknown"
    zh = "该版本的协议已失效，请阅读最新版本"
    en = "That version is not in force, please read the latest."


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


class OtpNeeded(Unauthenticated):
    code, zh, en = "otp_needed", "请输入动态验证码", "Please enter the code of your app."


class OtpWrong(Unauthenticated):
    code, zh, en = (
        "otp_wrong",
        "动态验证码不正确或已使用",
        "That code is wrong or was used already.",
    )


class PasswordWrong(Refused):
    code, zh, en = "password_wrong", "密码不正确", "That is not your password."


class PasswordWeak(Refused):
    code = "password_weak"
    zh = "新密码至少 {min_characters} 位，不能包含用户名，也不能与旧密码相同"
    en = (
        "A new password needs {min_characters} characters or more, "
        "without the user name, and not the old one."
    )


class PasswordChangeNeeded(Forbidden):
    code, zh, en = (
        "password_change_needed",
        "请先修改初始密码",
        "Please change your first password before you go on.",
    )


class SecondFactorMissing(Forbidden):
    code, zh, en = (
        "second_factor_missing",
        "请先绑定动态验证码",
        "Please set up a second factor before you go on.",
    )


class SecondFactorEnrolled(Refused):
    code, zh, en = (
        "second_factor_enrolled",
        "已绑定动态验证码",
        "A second factor is set up already.",
    )


class SecondFactorNotBegun(Refused):
    code, zh, en = (
        "second_factor_not_begun",
        "尚未开始绑定动态验证码",
        "No second factor has been set up yet.",
    )


class SecondFactorNeeded(Refused):
    code, zh, en = (
        "second_factor_needed",
        "本店要求使用动态验证码，不能解绑",
        "The shop requires a second factor, it can't be removed.",
    )


class NotYourself(Forbidden):
    code, zh, en = (
        "not_yourself",
        "不能更改自己的角色或权限，请由其他人操作",
        "Nobody changes their own role or rights; ask somebody else.",
    )


class OwnersOnly(Forbidden):
    code, zh, en = (
        "owners_only",
        "只有店主可以设置或更改管理员",
        "Only an owner can make or change those who run the mall.",
    )


class StoreMissing(Refused):
    code, zh, en = "store_missing", "店员和店长必须属于一家门店", "This role needs a store."


class SubscriptionRefused(Refused):
    code, zh, en = (
        "subscription_refused",
        "用户未订阅或已拒收该消息",
        "The user has not consented to that message.",
    )


class MessageUnfit(Refused):
    code, zh, en = ("message_unfit", "该消息无法发送", "That message can't be sent.")


class TextUnchecked(Unavailable):
    code, zh, en = (
        "text_unchecked",
        "内容暂时无法审核，请重新进入小程序后再试",
        "That text can't be checked right now, please come back in a moment.",
    )
