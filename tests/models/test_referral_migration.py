"""The migrations of referrals: the settings become the first rule, what is open goes on as promised."""

import json

import pytest
from flask_migrate import downgrade, upgrade

from mall import referrals
from models import db
from tests.models.test_migrations import a_database, fresh  # noqa: F401 — fixtures
from tests.models.test_streak_migration import read, run

SETTING = "INSERT INTO shop_settings (name, value, version) VALUES ('{}', '{}', 1)"
BEFORE, THIS = "0027", "0029"


@pytest.mark.covers("F1")
@pytest.mark.parametrize(
    ("own", "points", "days"),
    [({}, (100, 50), 7), ({"inviter_points": 8, "hold_days": 0}, (8, 50), 0)],
)
def test_the_settings_become_the_first_version(own, points, days, fresh):  # noqa: F811
    upgrade(revision=BEFORE)
    for name, value in own.items():
        run(SETTING.format(f"referral_{name}", json.dumps(value)))

    upgrade(revision=THIS)

    terms = referrals.in_force()
    db.session.rollback()
    paid = terms.stages["purchase"]
    assert (terms.version, terms.label) == (1, "邀请有礼@1")
    assert ((paid.inviter.points, paid.friend.points), paid.pending_days) == (points, days)
    assert not terms.stages["join"] and not terms.ladder

    db.session.remove()
    downgrade(revision=BEFORE)
    assert len(read("SELECT * FROM shop_settings")) == len(own)
