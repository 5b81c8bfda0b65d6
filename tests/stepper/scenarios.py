"""Who asks for what: the canonical scenarios, and any number of others by seed."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from mall import limits
from mall.guards import stock
from models import Reward, db
from tests.stepper.worlds import Shape, World

Task = tuple[str, Callable[[], object]]  # what is asked, by its key or name, and how
OVERDUE, ADOPTABLE = -1, 0  # leases that are over, or may be adopted, as soon as they are taken


@dataclass(frozen=True)
class Scenario:
    """A world's shape and the tasks of each worker in it."""

    name: str
    shape: Shape
    tasks: Callable[[World], dict[str, list[Task]]]
    turns: bool = False
    lease_ms: int = OVERDUE
    adopt_ms: int = ADOPTABLE
    requests: int = 1
    retry_first: bool = False  # before the keeper has mended anything


def sending(world: World, text: object) -> Task:
    return str(text), lambda: world.send(str(text))


def redeeming(world: World, member: int = 0, quantity: int = 1) -> Task:
    return sending(world, world.wants(member, quantity).key.text)


def batch(world: World, wanted: list[tuple[int, int]]) -> Task:
    requests = [world.wants(member, quantity) for member, quantity in wanted]
    return str(requests[0].key.text), lambda: world.redeem_many(requests)


def _one(world: World) -> dict[str, list[Task]]:
    return {"shopper": [redeeming(world)]}


def _cancel(world: World) -> dict[str, list[Task]]:
    redeeming(world)[1]()
    return {"shopper": [sending(world, world.cancels())]}


def _batch(world: World) -> dict[str, list[Task]]:
    return {"batch": [batch(world, [(0, 1), (1, 1), (2, 1)])]}


def _retry(world: World) -> dict[str, list[Task]]:
    task = redeeming(world)
    return {"shopper": [task, task]}


def _twins(world: World) -> dict[str, list[Task]]:
    task = redeeming(world)
    return {"first": [task], "second": [task]}


def _late(world: World) -> dict[str, list[Task]]:
    """A repeat that comes to the gate just as its twin has finished."""
    request = world.wants(0)
    world.redeem(request)
    return {"shopper": [(str(request.key.text), lambda: world.redeem_late(request))]}


def _beside(world: World) -> dict[str, list[Task]]:
    return {"shopper": [redeeming(world)], "reaper": [("reap", world.reap), ("reap", world.reap)]}


def _left(world: World) -> dict[str, list[Task]]:
    """A worker reserved and was never seen again: the reaper comes, then the shopper does."""
    request = world.wants(0)
    asked = stock.Ask(request.member_id, request.token, request.quantity)
    epoch = db.session.get_one(Reward, world.reward_id).epoch
    db.session.rollback()
    stock.reserve_many(world.reward_id, [asked], epoch=epoch, limit=None, period=limits.EVER)
    return {"keeper": [("keep", world.keep)], "shopper": [sending(world, request.key.text)]}


CANONICAL = {
    each.name: each
    for each in (
        Scenario("one", Shape(2, (2,), limit=1), _one),
        Scenario("first", Shape(2, (2,), limit=2, gate=False), _one),
        Scenario("cancel", Shape(1, (1,), limit=1), _cancel),
        Scenario("batch", Shape(2, (2, 0, 1), limit=2), _batch),
        Scenario("retry", Shape(2, (2,)), _retry),
        Scenario("twins", Shape(1, (1,), hot=True), _twins, turns=True),
        Scenario("late", Shape(2, (2,), limit=2), _late),
        Scenario("beside", Shape(1, (2,)), _beside, turns=True),
        Scenario("left", Shape(1, (1,)), _left),
    )
}
JOBS = ("reap", "reap", "keep", "rebuild", "drain")


def by_seed(rng: random.Random) -> Scenario:
    """A scenario that a seed stands for."""
    members = rng.randint(2, 4)
    shape = Shape(
        units=rng.randint(1, 4),
        funds=tuple(rng.randint(0, 3) for _ in range(members)),
        limit=rng.choice((None, None, 1, 2)),
        hot=rng.random() < 0.3,
        gate=rng.random() < 0.8,
    )
    workers = [[_what(rng, members) for _ in range(rng.randint(1, 3))] for _ in range(_crowd(rng))]

    def tasks(world: World) -> dict[str, list[Task]]:
        sent: list[Task] = []
        made = {
            f"worker {n}": [_task(world, w, sent) for w in each] for n, each in enumerate(workers)
        }
        return made

    return Scenario(
        "seed",
        shape,
        tasks,
        lease_ms=OVERDUE if rng.random() < 0.8 else 30_000,
        adopt_ms=ADOPTABLE if rng.random() < 0.5 else 2_000,
        requests=sum(len(each) for each in workers),
        retry_first=rng.random() < 0.5,
    )


def _crowd(rng: random.Random) -> int:
    return rng.randint(2, 4)


def _what(rng: random.Random, members: int) -> tuple[str, object]:
    """One thing a worker is asked for, in words that need no world yet."""
    kind = rng.choices(("redeem", "batch", "again", "cancel", "move", "job"), (6, 3, 2, 2, 1, 2))[0]
    match kind:
        case "redeem":
            return kind, (rng.randrange(members), rng.choice((1, 1, 1, 2)))
        case "batch":
            who = rng.sample(range(members), rng.randint(2, members))
            return kind, [(member, rng.choice((1, 1, 1, 2))) for member in who]
        case "again" | "cancel":
            return kind, rng.randrange(8)
        case "move":
            return kind, rng.choice((2, 1, -1))
    return kind, rng.choice(JOBS)


def _task(world: World, what: tuple[str, object], sent: list[Task]) -> Task:
    kind, how = what
    match kind:
        case "redeem":
            task = redeeming(world, *how)  # type: ignore[misc]
        case "batch":
            task = batch(world, how)  # type: ignore[arg-type]
        case "again" if sent:
            return sent[how % len(sent)]  # type: ignore[operator]
        case "cancel":
            return "cancel", lambda: _cancel_any(world, how)  # type: ignore[arg-type]
        case "move":
            task = sending(world, world.moves(how))  # type: ignore[arg-type]
        case "job":
            return str(how), getattr(world, str(how))
        case _:
            task = redeeming(world)
    sent.append(task)
    return task


def _cancel_any(world: World, which: int) -> None:
    text = world.cancels(which)
    if text is not None:
        world.send(text)
