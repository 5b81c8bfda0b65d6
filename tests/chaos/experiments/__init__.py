"""The experiments, by name: each stands on a ground, breaks it, and answers with its verdict."""
