"""The migration to policies of expiry: the shop's setting becomes the first version, and back."""

import pytest
import sqlalchemy as sa
from flask_migrate import downgrade, upgrade

from mall import expiry_policies
from models import db
from tests.models.test_migrations import a_database, fresh  # noqa: F401 — fixtures
from tests.models.test_streak_migration import read, run

MONTHS = {"unit": "month", "round_up_to": "month"}
SETTING = "INSERT INTO shop_settings (name, value, version) VALUES ('points_last_months', '{}', 1)"
BEFORE, THIS = "0018", "0019"


@pytest.mark.covers("C9")
@pytest.mark.parametrize(
    ("months", "terms", "back"),
    [
        (None, {"kind": "rolling", "lasts": 12, **MONTHS}, []),
        (3, {"kind": "rolling", "lasts": 3, **MONTHS}, [3]),
        (0, {"kind": "never"}, [0]),
    ],
)
def test_the_setting_becomes_the_first_version(months, terms, back, fresh):  # noqa: F811
    upgrade(revision=BEFORE)
    if months is not None:
        run(SETTING.format(months))

    upgrade(revision=THIS)

    policies = expiry_policies.in_force()
    db.session.rollback()
    assert policies.version == 1 and policies.terms == expiry_policies.terms.read(terms)
    assert read("SELECT * FROM shop_settings") == []

    db.session.remove()
    downgrade(revision=BEFORE)
    with db.engine.connect() as link:
        kept = link.execute(sa.text("SELECT CAST(value AS VARCHAR) FROM shop_settings")).scalars()
        assert [int(value) for value in kept] == back
