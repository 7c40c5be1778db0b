"""The names that `import bsresearch` promises, for loops that are not the engine's; bsresearch/__init__.py lists them.

`loss_fn(params, batch)` is a user's own: the mean loss of a batch, a scalar; params any pytree of float arrays, batch
any whose leaves share their first axis, the examples. What is measured the members of bsresearch/measure measure.
"""
