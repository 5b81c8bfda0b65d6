"""The README says what is so."""

import re
from pathlib import Path

import pytest

from mall import settings

ROOT = Path(__file__).resolve().parents[1]


def settings_table() -> str:
    rows = [
        f"| `{setting.name}` | {f'`{setting.default}`' if setting.default else ''} | {setting.meaning} |"
        for setting in settings.TABLE
    ]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_every_setting_stands_in_the_readme_with_its_default(name: str):
    said = (ROOT / name).read_text()

    table = re.search(r"<!-- settings.*?-->\n(.*?)\n<!-- /settings -->", said, re.DOTALL)

    assert table is not None
    rows = [line.split("|")[1:3] for line in table[1].splitlines()]
    assert rows == [line.split("|")[1:3] for line in settings_table().splitlines()]


def test_the_english_table_says_what_the_settings_say():
    assert settings_table() in (ROOT / "README.md").read_text()
