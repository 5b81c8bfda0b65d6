"""Stores: places with a till."""

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from mall.atomic import atomic
from mall.errors import NameTaken, NotFound
from mall.idempotency import Answer, Key
from models import Store, db
from models.base import insert


def view(store: Store) -> dict[str, object]:
    return {"id": store.id, "code": store.code, "name": store.name, "address": store.address}


def find(store_id: int) -> Store:
    store = db.session.get(Store, store_id)
    if store is None:
        raise NotFound()
    return store


def open_store(*, code: str, name: str, address: str = "", key: Key, now: datetime) -> Answer:
    """Add a store; its code is its own."""
    with atomic() as transaction:
        key.claim(now=now)
        added = transaction.execute(
            insert(Store)
            .values(code=code, name=name, address=address, created_at=now)
            .on_conflict_do_nothing()
            .returning(Store.id)
        ).scalar()
        if added is None:
            raise NameTaken()
        return key.store(201, {"id": added, "code": code, "name": name, "address": address})


def ids_by_code(codes: Iterable[str], *, now: datetime, open_new: bool = False) -> dict[str, int]:
    """Codes to ids; with `open_new`, a code not known yet becomes a store of that name."""
    wanted = sorted(set(codes))
    with atomic() as transaction:
        if open_new and wanted:
            rows = [{"code": c, "name": c, "address": "", "created_at": now} for c in wanted]
            transaction.execute(insert(Store).on_conflict_do_nothing(), rows)
        found = transaction.execute(sa.select(Store.code, Store.id).where(Store.code.in_(wanted)))
        return {row.code: row.id for row in found}
