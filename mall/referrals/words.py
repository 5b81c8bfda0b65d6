"""What a shopper is told of an invitation: in Chinese, in English, and what to do next."""

INVITATION = {  # what came of an invite code at log-in: reason, next step
    "bound": (
        ("邀请已生效", "The invitation counts."),
        ("首次消费后，您和好友都有礼", "Both of you are rewarded after your first purchase."),
    ),
    "unknown_code": (
        ("邀请码无效", "Nobody has this invite code."),
        ("请向好友确认邀请码；不影响您入会", "Ask your friend for it; you have joined anyway."),
    ),
    "own_code": (
        ("不能使用自己的邀请码", "This is your own invite code."),
        ("把它分享给还不是会员的好友", "Share it with a friend who is no member yet."),
    ),
    "already_member": (
        ("您已是会员，邀请只对新会员有效", "Invitations are for new members; you are one already."),
        ("您可以邀请自己的好友", "You can invite friends of your own."),
    ),
    "inviter_closed": (
        ("邀请人的账户已注销", "Whoever invited you has closed their account."),
        ("您可以邀请自己的好友", "You can invite friends of your own."),
    ),
}
REASONS = {  # why a referral is where it is, to its inviter
    "": ("", ""),
    "in_review": ("审核中，通过后照常发放", "In review; it is paid once that is done."),
    "capped_day": (
        "今日奖励好友数已达上限",
        "You had reached the number of friends paid for in a day.",
    ),
    "capped_life": (
        "累计奖励好友数已达上限",
        "You have reached the number of friends paid for.",
    ),
    "refunded": (
        "首次消费已退款，好友再次消费后继续",
        "The first purchase was refunded; the next one counts.",
    ),
    "refused": ("审核未通过", "Refused in review."),
    "merged": ("好友与其他会员为同一人", "Your friend was a member already."),
    "gift_missing": ("礼品已发完", "A gift was no longer there."),
}


def invitation(reason: str) -> dict[str, str]:
    (zh, en), (next_zh, next_en) = INVITATION[reason]
    state = "bound" if reason == "bound" else "refused"
    told = {"says": zh, "says_en": en, "next_step": next_zh, "next_step_en": next_en}
    return {"state": state, "reason": reason, **told}
