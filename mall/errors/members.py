"""What a member's check-ins and profile refuse."""

from mall.errors.families import Refused


class AlreadyCheckedIn(Refused):
    code, zh, en = "already_checked_in", "{day} 已签到", "You are signed in for {day} already."


class MakeUpOutsideWindow(Refused):
    code = "make_up_outside_window"
    zh, en = (
        "只能补签本月最近 {window_days} 天内、入会之后的日子",
        "Only past days of this month, {window_days} back at most and since you joined.",
    )


class NoMakeUpsLeft(Refused):
    code, zh, en = (
        "no_make_ups_left",
        "本月 {limit} 次补签机会已用完",
        "All {limit} make-ups of this month are used.",
    )


class OutageKnown(Refused):
    code, zh, en = "outage_known", "{day} 已登记停机", "The outage of {day} is known already."


class OutageOutsideWindow(Refused):
    code = "outage_outside_window"
    zh, en = (
        "只能登记 {earliest_day} 至 {latest_day} 的停机",
        "Outages can be named from {earliest_day} to {latest_day}.",
    )


class BirthdayFixed(Refused):
    code, zh, en = (
        "birthday_fixed",
        "生日只能设置一次，修改请联系店员",
        "A birthday can be set once.",
    )


class PhoneTaken(Refused):
    code, zh, en = "phone_taken", "该手机号已绑定其他会员", "This phone belongs to another member."
