"""The running shop, broken on purpose: real processes, real faults, and a judge of what clients saw.

`make chaos` runs every experiment in its long form; tests/chaos/test_chaos.py runs short ones.
"""
