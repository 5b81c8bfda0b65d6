"""The keeping of gates: rebuilt from SQL when absent or wrong, and swept of leases nobody ended."""

from mall.gates.build import rebuild, rebuild_many
from mall.gates.keeper import drift, faults, keep
from mall.gates.reap import caller_of, reap

__all__ = ["caller_of", "drift", "faults", "keep", "reap", "rebuild", "rebuild_many"]
