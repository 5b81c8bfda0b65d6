"""What keeps two members from becoming one."""

from mall.errors.families import Malformed, Refused


class SameMember(Malformed):
    code, zh, en = "same_member", "不能与自己合并", "A member can't be merged with itself."


class AlreadyMerged(Refused):
    code = "already_merged"
    zh, en = (
        "会员 {member_id} 已并入会员 {holder_id}，请对后者操作",
        "Member {member_id} became part of member {holder_id}: use that one.",
    )
