"""The stepper: workers that take turns at every outside call, and faults that strike there.

Only one worker runs at a time. Before each SQL statement, BEGIN, COMMIT, Redis call and sleep the
baton may change hands and a fault may strike; a seed decides both, so that a schedule can be
played again. `python -m tests.stepper --help` says how.
"""
