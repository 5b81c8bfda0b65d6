"""The migration to streaks: what was paid before it is remembered, and the running version goes on."""

import sqlalchemy as sa
from flask_migrate import downgrade, upgrade

from models import db
from tests.models.test_migrations import a_database, fresh  # noqa: F401 — fixtures

BEFORE = (
    "INSERT INTO tiers (code, name, growth_min) VALUES ('base', 'b', 0)",
    "INSERT INTO members (id, card_no, invite_code, nickname, gender, city, joined_at)"
    " VALUES (1, '888', 'ABC', '', 'unknown', '', '2027-01-01 00:00:00')",
    "INSERT INTO accounts (member_id, balance_points, pending_points, entries, growth_value,"
    " tier_code, state) VALUES (1, 0, 0, 0, 0, 'base', 'open')",
    "INSERT INTO checkin_rules (streak_day, points, bonus_points) VALUES (1, 5, 0), (2, 5, 50)",
)
CHECK_IN = (
    "INSERT INTO checkins (member_id, day, streak_days, points_awarded, bonus_points, created_at)"
    " VALUES (1, '2027-03-{:02}', {}, 5, {}, '2027-03-01 00:00:00')"
)


def run(*statements):
    with db.engine.connect().execution_options(writes=True) as link, link.begin():
        for statement in statements:
            link.execute(sa.text(statement))


def read(query):
    with db.engine.connect() as link:
        return [tuple(row) for row in link.execute(sa.text(query))]


def test_what_was_paid_is_a_milestone_of_the_first_ladder(fresh):  # noqa: F811
    upgrade(revision="0009")
    run(*BEFORE, CHECK_IN.format(1, 1, 0), CHECK_IN.format(2, 2, 50))

    upgrade(revision="0010")
    run(CHECK_IN.format(3, 3, 0))  # the version before this one, still running

    assert read("SELECT version, streak_day, points, bonus_points FROM checkin_rules") == [
        (1, 1, 5, 0),
        (1, 2, 5, 50),
    ]
    assert read("SELECT version FROM checkin_ladders") == [(1,)]
    paid = read(
        "SELECT member_id, ladder_version, level, CAST(paid_day AS VARCHAR), points FROM milestones_paid"
    )
    assert paid == [(1, 1, 2, "2027-03-02", 50)]
    kinds = read("SELECT kind, ladder_version FROM checkins ORDER BY day")
    assert kinds == [("normal", 1), ("normal", 1), ("normal", None)]


def test_going_back_keeps_the_newest_ladder_and_every_day(fresh):  # noqa: F811
    upgrade(revision="0010")
    run(
        "INSERT INTO checkin_ladders (version, published_at) VALUES (1, '2027-01-01 00:00:00'),"
        " (2, '2027-01-01 00:00:00')",
        "INSERT INTO checkin_rules VALUES (1, 1, 5, 0), (2, 1, 7, 1), (2, 2, 8, 2)",
        *BEFORE[:3],
        CHECK_IN.format(1, 1, 0),
    )

    downgrade(revision="0009")

    assert read("SELECT * FROM checkin_rules ORDER BY streak_day") == [(1, 7, 1), (2, 8, 2)]
    assert read("SELECT streak_days FROM checkins") == [(1,)]


def test_a_shop_without_a_ladder_gets_none(fresh):  # noqa: F811
    upgrade(revision="0010")

    assert read("SELECT * FROM checkin_ladders") == read("SELECT * FROM checkin_rules") == []
