"""What can't be undone, and what was."""

from mall.errors.families import Refused


class UndoTooLate(Refused):
    code = "undo_too_late"
    zh, en = (
        "只能在 {minutes} 分钟内撤销（截止 {until}），请联系店长撤销",
        "This could be undone for {minutes} minutes, until {until}; please ask the store's manager.",
    )


class AlreadyUndone(Refused):
    code = "already_undone"
    zh, en = "该操作已于 {at} 由 {by} 撤销", "This was undone at {at} by {by}."


class RefundsStand(Refused):
    code = "refunds_stand"
    zh, en = (
        "此小票已退款 {refunded_yuan} 元，请先撤销退款",
        "{refunded_yuan} yuan of this receipt were refunded: undo the refund first.",
    )


class LaterRefundStands(Refused):
    code = "later_refund_stands"
    zh, en = (
        "此小票之后还有退款，请先撤销最近一次退款",
        "A later refund of this receipt stands: undo that one first.",
    )


class PurchaseUndone(Refused):
    code, zh, en = (
        "purchase_undone",
        "此小票已撤销，不能退款",
        "This receipt was undone, there is nothing to refund.",
    )
