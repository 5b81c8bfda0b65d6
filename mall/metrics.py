"""Metrics: rare events worth a look, counted in SQL so that all processes add to one number.

Only for what seldom happens: a tally is one row, and whoever counts waits for whoever counted.
"""

import sqlalchemy as sa

from mall.atomic import atomic
from models import Tally, db
from models.base import insert

TALLIES = {
    "gate_drift": "Times a gate's units were not what SQL says, twice in a row.",
    "gate_rebuilds": "Times a gate was opened anew from SQL.",
    "gate_leases_reaped": "Leases that nobody came back to end.",
    "contentions": "Times a request was made again because the database broke up a ring of locks.",
    "ledger_mismatches": "Mismatches the ledger's proof has found.",
}


def count(name: str, by: int = 1) -> None:
    """Add to a tally, inside the transaction that is open or in one of its own."""
    assert name in TALLIES and by >= 0, (name, by)
    if not by:
        return
    statement = insert(Tally).values(name=name, number=by)
    with atomic() as transaction:
        transaction.execute(
            statement.on_conflict_do_update(
                index_elements=["name"],
                set_={"number": Tally.number + statement.excluded.number},
            )
        )


def tallies() -> dict[str, int]:
    """Every tally; what never happened is 0."""
    counted = {
        row.name: row.number for row in db.session.execute(sa.select(Tally.name, Tally.number))
    }
    return {name: counted.get(name, 0) for name in TALLIES}
