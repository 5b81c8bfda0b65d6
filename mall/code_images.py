"""Mini-program codes: WeChat draws one for a scene, we keep it; it never changes."""

from datetime import datetime

import sqlalchemy as sa

from mall.atomic import atomic
from mall.errors import NotFound
from mall.wechat import WeChat
from models import CodeImage, Member, db
from models.base import insert


def of_invitation(invite_code: str, *, wechat: WeChat, now: datetime) -> bytes:
    """The PNG of a member's invitation; its scene is the invite code itself."""
    kept = db.session.scalar(sa.select(CodeImage.png).where(CodeImage.scene == invite_code))
    if kept is not None:
        return bytes(kept)
    if db.session.scalar(sa.select(Member.id).where(Member.invite_code == invite_code)) is None:
        raise NotFound()
    db.session.rollback()  # nothing stays open while WeChat draws
    png = wechat.code_image(invite_code)
    with atomic() as transaction:
        statement = insert(CodeImage).values(scene=invite_code, png=png, created_at=now)
        transaction.execute(statement.on_conflict_do_nothing())
    return png
