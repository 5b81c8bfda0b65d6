"""Delivery addresses: kept sealed, opened for who sends the parcel, shown to others by their ends.

What stands in a redemption's row is `{"sealed": ...}`; versions before this one kept it open.
"""

import base64
import json
from typing import Any

import sqlalchemy as sa

from mall import keys, phones
from mall.atomic import atomic, read
from models import Redemption
from models.base import table_of

PURPOSE = "delivery address"
AT_ONCE = 500

_table = table_of(Redemption)


def seal(address: dict[str, Any] | None) -> dict[str, Any] | None:
    """An address as a row keeps it."""
    if not address:
        return None
    told = json.dumps(address, ensure_ascii=False).encode()
    return {"sealed": base64.b64encode(keys.seal(PURPOSE, told)).decode()}


def opened(kept: dict[str, Any] | None) -> dict[str, Any] | None:
    """The address that a row keeps; None where it has none or the ring has lost the key."""
    if not kept or "sealed" not in kept:
        return kept
    told = keys.unseal(PURPOSE, base64.b64decode(kept["sealed"]))
    address: dict[str, Any] | None = None if told is None else json.loads(told)
    return address


def masked(address: dict[str, Any] | None) -> dict[str, Any] | None:
    """An address for who only looks: the region, and of name and number the ends."""
    if not address:
        return address
    shown = {name: "****" for name in address}
    shown |= {name: address[name] for name in ("region",) if name in address}
    if address.get("name"):
        shown["name"] = f"{address['name'][0]}**"
    if address.get("phone"):
        shown["phone"] = phones.mask(address["phone"]) or "****"
    return shown


def seal_all(*, everything: bool = False) -> int:
    """Seal addresses that stand open, or all anew after the ring was turned; answers how many."""
    query = sa.select(_table.c.id, _table.c.address)
    query = query.where(sa.cast(_table.c.address, sa.Text) != "null")  # JSON's null is no SQL NULL
    done = last = 0
    while rows := read(query.where(_table.c.id > last).order_by(_table.c.id).limit(AT_ONCE)):
        done += sum(_seal(row, everything) for row in rows)
        last = rows[-1].id
    return done


def _seal(row: sa.Row[Any], everything: bool) -> int:
    address = opened(row.address)
    if address is None or ("sealed" in row.address and not everything):
        return 0
    with atomic() as transaction:
        change = sa.update(_table).where(_table.c.id == row.id)
        return int(transaction.execute(change.values(address=seal(address))).rowcount)
