"""One training loop, compiled per group of runs."""
