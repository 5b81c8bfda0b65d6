"""Redis: quick refusals and quick answers. SQL decides; a guard that is wrong or gone costs time only."""
