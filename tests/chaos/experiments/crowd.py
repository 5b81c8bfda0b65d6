"""Crowds: more wishes than units, more spending than points, one wish sent a thousand times."""

import random
import threading
import time
from collections.abc import Callable

from tests.chaos import faults
from tests.chaos.fleet import (
    REDEEM,
    Ask,
    Client,
    Crowd,
    History,
    all_at_once,
    each_once,
    percentile_ms,
    redemption,
)
from tests.chaos.ground import Ground, Member
from tests.chaos.trial import Trial

SOLD_OUT_MS = 250
PLENTY = 1_000_000


def x1(ground: Ground, *, clients: int = 200, units: int = 1000) -> Trial:
    """Far more members than units."""
    members = ground.members
    trial = Trial(
        "X1",
        f"{clients} clients, {len(members)} members, limit 1: exactly {units} issued, nobody over"
        f" the limit, p99 of sold out < {SOLD_OUT_MS} ms, INV",
        ground,
    )
    reward_id = ground.stock(units, per_member_limit=1, hot=True)
    asks = [redemption(member, reward_id) for member in members]
    random.shuffle(asks)
    started, worked = time.monotonic(), time.process_time()
    with Crowd(ground.port, trial.history, each_once(asks), clients=clients) as crowd:
        crowd.wait()
    took_s = time.monotonic() - started
    share = (time.process_time() - worked) / took_s
    sold_out = [call for call in trial.history.calls if call.code == "sold_out"]
    granted = [call for call in trial.history.calls if call.verdict == "done"]
    p99 = percentile_ms(sold_out, 99)
    trial.measure(
        calls_a_second=round(len(trial.history.calls) / took_s),
        cores_the_clients_took=round(share, 2),
        sold_out_p50_ms=percentile_ms(sold_out, 50),
        sold_out_p99_ms=p99,
        granted_p99_ms=percentile_ms(granted, 99),
    )
    trial.require(p99 < SOLD_OUT_MS, f"p99 of sold out is {p99} ms")
    trial.settle([reward_id])
    issued = trial.history.done()
    trial.require(issued == units, f"{issued} issued of {units}")
    return trial


def mixed(members: list[Member], scarce: int, plenty: int) -> Callable[[], Ask]:
    """Wishes without end: some for what is scarce, most for what there is enough of."""

    def next_ask() -> Ask:
        reward_id = scarce if random.random() < 0.3 else plenty
        return redemption(random.choice(members), reward_id)

    return next_ask


def x2(
    ground: Ground,
    *,
    clients: int = 200,
    for_s: float = 120,
    kill_every_s: float = 2,
    gates: bool = True,
) -> Trial:
    """Web workers are killed one after the other, and now and then the worker."""
    trial = Trial(
        "X2",
        f"kill -9 of a random web worker every {kill_every_s} s (every fifth time also the"
        f" worker) for {for_s} s: INV, acked = in SQL, leases 0 and gate = SQL within 40 s",
        ground,
    )
    scarce = ground.stock(1000, per_member_limit=1, hot=True)
    plenty = ground.stock(PLENTY)
    killed = {"web workers": 0, "workers": 0}

    def kill() -> None:
        killed["web workers"] += faults.kill_web_worker(ground)
        if killed["web workers"] % 5 == 3:
            killed["workers"] += faults.kill_worker(ground)

    next_ask = mixed(ground.members, scarce, plenty)
    with (
        Crowd(ground.port, trial.history, next_ask, clients=clients),
        faults.every(kill_every_s, kill),
    ):
        time.sleep(for_s)
    trial.measure(**{f"killed_{name}": number for name, number in killed.items()})
    trial.require(killed["web workers"] > 0, "nothing was killed")
    return trial.settle([scarce, plenty], gates=gates)


def x9(ground: Ground, *, times: int = 1000, clients: int = 100) -> Trial:
    """One wish, sent again and again at once."""
    trial = Trial(
        "X9",
        f"{times} identical requests, same key, {clients} parallel: 1 effect, the others replay"
        " the identical 201 or answer 409, no 5xx",
        ground,
    )
    reward_id = ground.stock(PLENTY)
    ask = redemption(ground.members[0], reward_id)
    all_at_once(ground.port, trial.history, [ask] * times, clients=clients)
    calls = trial.history.calls
    first = [call for call in calls if call.status == 201 and not call.replayed]
    replays = [call for call in calls if call.status == 201 and call.replayed]
    twins = [call for call in calls if call.status == 409]
    others = len(calls) - len(first) - len(replays) - len(twins)
    codes = sorted({call.code for call in twins})
    trial.measure(first=len(first), replays=len(replays), twins=len(twins), codes=codes)
    trial.require(len(first) == 1, f"{len(first)} first answers")
    trial.require(others == 0, f"{others} answers that are neither 201 nor 409")
    trial.require(codes in ([], ["idempotency_key_in_progress"]), f"refused with {codes}")
    all_at_once(ground.port, trial.history, [ask], clients=1)  # the final answer
    trial.settle([reward_id], gates=False)
    trial.require(trial.history.done() == 1, "the wish was never granted")
    return trial


def x10(ground: Ground) -> Trial:
    """One key with another body, with another member, and no key at all."""
    trial = Trial(
        "X10",
        "same key, other body 422, other member independent, no key 400, all problem+json",
        ground,
    )
    one, other = ground.members[:2]
    reward_id = ground.stock(PLENTY)
    client = Client(ground.port, trial.history)
    first = redemption(one, reward_id)
    told = [
        client.ask(first),
        client.ask(redemption(one, reward_id, 2, key=first.key)),
        client.ask(redemption(other, reward_id, key=first.key)),
        client.ask(redemption(one, reward_id, key=None)),
        client.ask(redemption(one, reward_id, key="short")),
    ]
    client.close()
    seen = [(call.status, call.code) for call in told]
    expected = [
        (201, ""),
        (422, "idempotency_key_reused"),
        (201, ""),
        (400, "idempotency_key_missing"),
        (400, "idempotency_key_invalid"),
    ]
    trial.measure(statuses=[status for status, _ in seen])
    trial.require(seen == expected, f"answered {seen}")
    trial.require(told[2].raw != told[0].raw, "the other member got the first one's answer")
    count = ground.number("SELECT count(*) FROM redemptions WHERE reward_id = :id", id=reward_id)
    trial.require(count == 2, f"{count} redemptions instead of 2")
    return trial.end()


def x11(ground: Ground, *, parallel: int = 64, funds_for: int = 10) -> Trial:
    """One member spends at once what is there ten times only."""
    trial = Trial(
        "X11",
        f"{parallel} parallel spends, funds for {funds_for}: exactly {funds_for}, balance 0, no"
        " deadlock, no 5xx, INV",
        ground,
    )
    member = ground.members[-1]
    query = "SELECT balance_points FROM accounts WHERE member_id = :id"
    points = ground.number(query, id=member.id)
    price = points // funds_for
    _take(ground, member, points - price * funds_for)
    reward_id = ground.stock(PLENTY, price_points=price)
    before = len(_deadlocks(ground))
    asks = [redemption(member, reward_id) for _ in range(parallel)]
    all_at_once(ground.port, trial.history, asks, clients=parallel)
    failed = trial.history.count(lambda call: call.status is None or call.status >= 500)
    trial.measure(not_now=trial.history.count(lambda call: call.verdict == "not now"))
    trial.require(failed == 0, f"{failed} answers of 5xx or none")
    trial.faults += _deadlocks(ground)[before:]
    trial.settle([reward_id])
    trial.require(trial.history.done() == funds_for, f"{trial.history.done()} were granted")
    balance = ground.number(query, id=member.id)
    trial.require(balance == 0, f"the balance is {balance}")
    return trial


def _take(ground: Ground, member: Member, points: int) -> None:
    if points:
        path = f"/admin/members/{member.id}/points-adjustments"
        taken = ground.admin().post(path, {"points": -points, "reason": "凑整"})
        assert taken.status == 201, taken.raw


def _deadlocks(ground: Ground) -> list[str]:
    """Deadlocks that PostgreSQL has broken up; SQLite, with one writer, knows none."""
    return ground.database.deadlocks() if ground.database else []


def x12(ground: Ground, *, members: int = 50, clients: int = 32, for_s: float = 60) -> Trial:
    """Members buy, redeem, take back and bring friends, all at once."""
    trial = Trial(
        "X12",
        f"purchases, redemptions, cancellations and referrals of {members} members, {clients}"
        f" threads, {for_s} s: no deadlock, no 500, trial balance 0, each referral paid once",
        ground,
    )
    people = random.sample(ground.members, members)
    rewards = [ground.stock(PLENTY, price_points=price) for price in (1, 7)]
    before = len(_deadlocks(ground))
    town = _Town(ground, trial.history, people, rewards)
    town.live(clients=clients, for_s=for_s)
    failed = trial.history.count(lambda call: call.verdict == "unknown")
    broken_up = _deadlocks(ground)[before:]
    trial.measure(**town.counted(), deadlocks=len(broken_up))
    trial.faults += broken_up
    trial.require(failed == 0, f"{failed} answers of 500 or none")
    trial.settle(rewards)
    trial.faults += town.faults()
    return trial


class _Town:
    """People who do whatever comes to mind."""

    def __init__(
        self, ground: Ground, history: History, people: list[Member], rewards: list[int]
    ) -> None:
        self.ground, self.history, self.people, self.rewards = ground, history, people, rewards
        self.clerk = ground.program().staff("clerk-a").token
        self.invites = [self._invite_code(person) for person in people]
        self.friends: list[Member] = []
        self.receipts: list[str] = []
        self.over = threading.Event()
        self.name = f"town-{random.getrandbits(32):x}"

    def _invite_code(self, person: Member) -> str:
        query = "SELECT invite_code FROM members WHERE id = :id"
        return str(self.ground.rows(query, id=person.id)[0][0])

    def live(self, *, clients: int, for_s: float) -> None:
        threads = [threading.Thread(target=self._be_one) for _ in range(clients)]
        for thread in threads:
            thread.start()
        time.sleep(for_s)
        self.over.set()
        for thread in threads:
            thread.join()

    def _be_one(self) -> None:
        client = Client(self.ground.port, self.history)
        acts = [self._buy, self._buy, self._redeem, self._redeem, self._befriend]
        while not self.over.is_set():
            random.choice(acts)(client)
        client.close()

    def _buy(self, client: Client) -> None:
        self._buy_for(client, random.choice(self.people + self.friends))

    def _buy_for(self, client: Client, member: Member) -> None:
        receipt_no = f"{self.name}-{random.getrandbits(64):x}"
        self.receipts.append(receipt_no)
        body = {"member_id": member.id, "receipt_no": receipt_no, "amount_fen": 5000}
        client.insist(Ask(member.id, self.clerk, "/clerk/purchases", body), within_s=5)

    def _redeem(self, client: Client) -> None:
        member = random.choice(self.people)
        call = client.insist(redemption(member, random.choice(self.rewards)), within_s=5)
        if call.verdict == "done" and random.random() < 0.5:
            path = f"{REDEEM}/{call.body['id']}/cancellation"
            client.insist(Ask(member.id, member.token, path, {}), within_s=5)

    def _befriend(self, client: Client) -> None:
        name = f"friend-{random.getrandbits(64):x}"
        friend = self.ground.log_in(name, invite_code=random.choice(self.invites))
        self._buy_for(client, friend)
        self.friends.append(friend)

    def counted(self) -> dict[str, int]:
        asks = self.history.by_ask()
        return {
            "receipts": len(self.receipts),
            "friends": len(self.friends),
            "cancelled": sum(ask.path.endswith("/cancellation") for ask in asks),
            "busy_503": self.history.count(lambda call: call.verdict == "not now"),
        }

    def faults(self) -> list[str]:
        """What the town's own books say against the shop's."""
        found = []
        query = "SELECT count(*) FROM purchases WHERE receipt_no LIKE :name"
        recorded = self.ground.number(query, name=f"{self.name}-%")
        if recorded != len(self.receipts):
            found.append(f"{recorded} receipts recorded of {len(self.receipts)}")
        found += self._referral_faults()
        sums = "SELECT (SELECT sum(delta_points) FROM ledger_entries)"
        balance = self.ground.number(f"{sums} - (SELECT sum(balance_points) FROM accounts)")
        return found + ([f"the trial balance is {balance}"] if balance else [])

    def _referral_faults(self) -> list[str]:
        """Each friend has one referrer, who is promised the bonus once."""
        ids = {friend.id for friend in self.friends}
        bound = {row[0] for row in self.ground.rows("SELECT invitee_id FROM referrals")}
        query = (
            "SELECT ref_id, count(*) FROM pending_grants WHERE kind = 'referral' GROUP BY ref_id"
        )
        doubles = [row for row in self.ground.rows(query) if row[1] > 1]
        missing = len(ids - bound)
        found = [f"{missing} friends without a referrer"] if missing else []
        return found + ([f"referrals promised twice: {doubles[:3]}"] if doubles else [])
