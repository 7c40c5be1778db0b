"""Which batch size, which learning rate: from a table of runs, wherever they come from. No JAX."""
