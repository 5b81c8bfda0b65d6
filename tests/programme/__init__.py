"""A shop that lives at random beside a model of it."""
