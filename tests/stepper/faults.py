"""What may strike at an outside call, and the calls it can strike."""

from dataclasses import dataclass
from enum import StrEnum

SQL, BEGIN, COMMIT, REDIS, SLEEP = "sql", "begin", "commit", "redis", "sleep"


class Killed(BaseException):
    """The worker's process is gone: nothing of it runs any more, not even its handlers."""


class Fault(StrEnum):
    # what happens to the call itself
    KILL_BEFORE = "kill_before"
    KILL_AFTER = "kill_after"
    TIMEOUT_BEFORE = "timeout_before"  # Redis never heard of it
    TIMEOUT_AFTER = "timeout_after"  # Redis did it, the answer is lost
    LOST_BEFORE = "lost_before"  # the database's connection breaks before it is done
    LOST_AFTER = "lost_after"  # the database did it, the answer is lost
    LOCKED = "locked"  # waited too long for a lock
    # what happens beside it, at this very moment
    FLUSHED = "flushed"  # Redis is emptied
    STALE = "stale"  # Redis is set back to an older copy
    COPIED = "copied"  # the copy it is set back to is made
    AGED = "aged"  # the lock of who builds a gate runs out
    CLOCK = "clock"  # a day passes
    REAP = "reap"
    KEEP = "keep"
    REBUILD = "rebuild"
    DRAIN = "drain"
    DUPLICATE = "duplicate"  # the same request arrives at another worker
    CANCEL = "cancel"
    RESTOCK = "restock"
    WITHDRAW = "withdraw"


KILLS = (Fault.KILL_BEFORE, Fault.KILL_AFTER)
TIMEOUTS = (Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER)
LOSSES = (Fault.LOST_BEFORE, Fault.LOST_AFTER)
UNDONE = (Fault.TIMEOUT_BEFORE, Fault.LOST_BEFORE, Fault.LOCKED)
DONE_UNHEARD = (Fault.TIMEOUT_AFTER, Fault.LOST_AFTER)
BESIDE = tuple(Fault)[tuple(Fault).index(Fault.FLUSHED) :]


@dataclass(frozen=True)
class Port:
    """One outside call, as a reader of a trace should see it."""

    kind: str
    label: str
    locks: bool = False  # may wait for a lock

    def strikes(self) -> tuple[Fault, ...]:
        """The faults that fit this call."""
        match self.kind:
            case "redis":
                return KILLS + TIMEOUTS
            case "commit":
                return KILLS + LOSSES
            case "sleep":
                return (Fault.KILL_BEFORE,)
        return KILLS + LOSSES + ((Fault.LOCKED,) if self.locks else ())
