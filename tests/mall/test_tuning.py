"""Settings over HTTP: bounds, versions that entries name, and what each version said."""

import pytest

from mall import shop, tuning


def test_every_setting_but_the_demos_mark_can_be_tuned():
    assert set(tuning.BOUNDS) == set(shop.DEFAULTS) - {"demo"}


def test_the_defaults_are_within_their_bounds(app):
    assert [n for n, bounds in tuning.BOUNDS.items() if not bounds.holds(shop.DEFAULTS[n])] == []


@pytest.mark.covers("C8")
def test_a_setting_is_changed_and_what_it_was_can_be_read(as_staff):
    admin = as_staff("admin")
    path = "/admin/settings/make_up_price_points"

    first = admin.post(path, {"value": 30}).json
    second = admin.post(path, {"value": 0}).json

    assert first == {
        "name": "make_up_price_points",
        "value": 30,
        "version": 1,
        "default": 20,
        "may_be": "a whole number from 0 to 1000000000",
    }
    assert second["version"] == 2 and shop.setting("make_up_price_points") == 0
    changes = admin.get("/admin/setting-changes?name=make_up_price_points").json["items"]
    assert [(each["version"], each["value"]) for each in changes] == [(2, 0), (1, 30)]
    assert {each["changed_by"] for each in changes} == {changes[0]["changed_by"]} != {None}
    listed = {each["name"]: each for each in admin.get("/admin/settings").json["items"]}
    assert listed["make_up_price_points"] == second and listed["shop_name"]["version"] == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("make_up_price_points", -1),
        ("make_up_price_points", True),
        ("make_up_price_points", "20"),
        ("take_back_from_other_lots", 1),
        ("multiplier_stacking", "most"),
        ("welcome_bundle", "nothing"),
        ("birthday_bundles", {"gold": "nothing"}),
        ("birthday_bundles", {"wood": ""}),
        ("birthday_bundles", []),
        ("shop_name", " "),
    ],
)
def test_a_value_out_of_bounds_is_refused_and_told_what_it_may_be(as_staff, name, value):
    answer = as_staff("admin").post(f"/admin/settings/{name}", {"value": value})

    assert (answer.status_code, answer.json["code"]) == (400, "malformed")
    assert answer.json["errors"] == {"value": [tuning.BOUNDS[name].says]}
    assert shop.version_of(name) == 0


def test_what_is_no_setting_is_not_found(as_staff):
    for name in ("demo", "nonsense"):
        answer = as_staff("admin").post(f"/admin/settings/{name}", {"value": True})

        assert answer.status_code == 404
