"""Weights of another run that a run begins with, matched by path: which are taken and which are drawn.

Each parameter has one of the same path and shape in the other run, and is taken from it; but the last layer may be
another: parameters whose shapes depend on the number of outputs are drawn where that alone makes them differ. What
`config.init_new` names is drawn in any case. All else that does not match is refused. Batch norm's running statistics
go the same way; the optimizer, the average of the weights, schedules and the example stream begin anew.
"""

from collections.abc import Collection, Mapping
from typing import Any

import jax

from bsresearch import optim
from bsresearch.planning import trying
from bsresearch.planning.branch_point import point

FIELD = 'config.init_from'
FEW = 6  # parameters of a list that are told


def resolve(
    config: Mapping[str, Any],
    model: Mapping[str, Any],
    num_outputs: int,
    shape: tuple[int, ...],
    parent: Mapping[str, Any] | None,
) -> dict[str, Any] | None:
    """Whose weights a run begins with: run, study, directory, step, epoch, and `new`, the parameters that are drawn.

    Args:
      config: completed. model: its section. shape: of an example. parent: of a branch.

    Raises:
      ValueError: no such run or point, or weights that do not fit: both lists of those without a match.
    """
    where, new = config['init_from'], tuple(config['init_new'])
    if not where:
        if new:
            raise ValueError(f'config.init_new={new} is for a run with {FIELD}: without one all weights are drawn')
        return None
    if parent is not None:
        raise ValueError(f'{FIELD}={where}: a branch begins with the weights of its parent; leave it out')
    directory, source, step = point(where, FIELD)
    params = trying.parameters(model, num_outputs, shape)
    optim.check_groups(params, new, 'config.init_new', may_be_empty=False)
    other = trying.parameters(source.model, source.num_outputs, source.example_shape)
    one_more = _shapes(trying.parameters(model, num_outputs + 1, shape))
    here, there = _shapes(params), _shapes(other)
    last_layer = {path for path in here if one_more.get(path) != here[path]}
    drawn = {path for path in last_layer & there.keys() if _other_outputs(here[path], there[path], one_more[path])}
    drawn |= _matched(params, new)
    ignored = drawn | _matched(other, new)
    lacking = {path for path in here if here[path] != there.get(path)} - drawn
    without = {path for path in there if there[path] != here.get(path)} - ignored
    if lacking or without or not here.keys() - drawn:
        raise ValueError(
            f'{FIELD}={where}: the weights of run {source.id} do not fit. Without a match here: '
            f'{_told(lacking, here)}; there: {_told(without, there)}. Only the last layer ({_told(last_layer, {})}) '
            f'may have another shape; give model and inputs as they were there (model.name={source.model["name"]}, '
            f'examples of {list(source.example_shape)}), or name in config.init_new what is to be drawn, not all of it'
        )
    return {
        'run': source.id, 'study': source.study, 'directory': str(directory.resolve()), 'step': step,
        'epoch': source.length.epoch_at(step), 'new': tuple(sorted(drawn)),
    }  # fmt: skip


def _other_outputs(here: tuple[int, ...], there: tuple[int, ...], one_more: tuple[int, ...]) -> bool:
    """Whether two shapes differ, and only along axes of outputs: those that another number of them changes."""
    if here == there or len(here) != len(there):
        return False
    return all(h == t or h != o for h, t, o in zip(here, there, one_more, strict=True))


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    return {path: tuple(leaf.shape) for path, leaf in by_path(tree).items()}


def by_path(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by their names joined by '/'."""
    return {optim.path_of(keys): leaf for keys, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _matched(params: Any, patterns: tuple[str, ...]) -> set[str]:
    return {path for path, hit in by_path(optim.matches(params, patterns)).items() if hit}


def _told(paths: Collection[str], shapes: Mapping[str, tuple[int, ...]]) -> str:
    listed = [f'{path} {list(shapes[path])}' if path in shapes else path for path in sorted(paths)]
    more = f' and {len(listed) - FEW} more' if len(listed) > FEW else ''
    return (', '.join(listed[:FEW]) + more) or 'none'
