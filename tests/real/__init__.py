"""A year of a real loyalty programme, brought in as a shop would bring in its own past."""
