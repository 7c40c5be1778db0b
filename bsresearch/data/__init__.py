"""Data sets, the order in which their examples are seen, and what is done to an example."""
