"""`python -m mall.serve`: the whole shop in the foreground, under one process manager.

Ours because honcho, which was considered, neither orders starts by readiness nor restarts a child.
"""
