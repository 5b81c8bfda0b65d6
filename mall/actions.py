"""Actions: what is done at a till, noted in the transaction that does it, so that it can be undone."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from mall.atomic import atomic
from models import TillAction
from models.base import insert

PURCHASE, REFUND, VOUCHER_USE = "purchase", "refund", "voucher_use"
LONGEST_LABEL = 100


@dataclass(frozen=True)
class Action:
    """One thing done at a till; `ref_id` is the row it made or turned, `label` what people see.

    `entry_ref` is the ref_id of the entries it posted, where it posted any.
    """

    kind: str
    ref_id: int
    member_id: int
    store_id: int
    staff_id: int
    label: str
    entry_ref: str = ""


def note_many(actions: Sequence[Action], *, now: datetime) -> None:
    """Write down what was done, in the transaction that does it."""
    if not actions:
        return
    rows = [
        {**asdict(each), "label": each.label[:LONGEST_LABEL], "done_at": now, "undo_reason": ""}
        for each in actions
    ]
    with atomic() as transaction:
        transaction.execute(insert(TillAction), rows)
