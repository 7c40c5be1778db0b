"""Was the advice right? A sealed advice against a whole grid of runs that was made after it.

    bsresearch advise --config=quickstart --workdir=runs/advice --json=advice.json
    bsresearch run --config=quickstart --config.sweep.batch_size='(8,16,32,64,128,256)' … --workdir=runs/grid
    python -m scripts.check_advice --advice=advice.json --workdir=runs/grid

First the seal is checked: that nothing of the advice was changed since its time. Then, in the advice's own target: the
cost of the cell of the grid that is nearest to what it named over that of the best cell, less 1 (regret; both are means
over seeds, and the best of many cells looks better than it is); whether what it calls as good holds the best batch
size; and which part of the grid's runs, at each batch size those nearest to the rate it tells, lie in its intervals.
"""

import json
import pathlib
from typing import Any

import numpy as np
from absl import flags

from bsresearch.advice import of_workdir
from bsresearch.advice.table import Runs
from bsresearch.advice.telling import as_json
from bsresearch.analysis import command

_ADVICE = flags.DEFINE_string('advice', None, 'File that `bsresearch advise --json` wrote.')
_STUDY = flags.DEFINE_string('study', '', 'Of the workdir, where it holds several.')
NEAR = 1.5  # a rate of the grid stands for the one that was told up to this factor


def sealed(file: pathlib.Path) -> dict[str, Any]:
    """The advice; raises ValueError where it is not what was sealed, or none."""
    try:
        told = json.loads(file.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'--advice={file} is no JSON, or damaged: {error}') from error
    if not isinstance(told, dict):
        raise ValueError(f'--advice={file} is none that `bsresearch advise --json` wrote')
    if as_json.seal({k: v for k, v in told.items() if k != 'sha256'}) != told.get('sha256'):
        raise ValueError(f'--advice={file} was changed since it was sealed')
    if told.get('refusal') or not told.get('target'):
        raise ValueError(f'--advice={file} names no batch size for a target: {told.get("refusal") or "it has none"}')
    return told


def cells(runs: Runs, of: str = 'seconds') -> dict[tuple[float, float], np.ndarray]:
    """(B, rate) → what its runs took to the target, seconds or epochs; ∞ of one that never came there."""
    assert runs.learning_rate is not None
    took = np.where(runs.reached, runs.length * (runs.seconds if of == 'seconds' else 1.0), np.inf)
    pairs = {(float(b), float(r)) for b, r in zip(runs.batch_size, runs.learning_rate, strict=True)}
    return {(b, r): took[(runs.batch_size == b) & (runs.learning_rate == r)] for b, r in sorted(pairs)}


def nearest(grid: dict[tuple[float, float], Any], size: float, rate: float) -> tuple[float, float] | None:
    """The grid's cell at a batch size whose rate is nearest; None further off than NEAR."""
    own = [cell for cell in grid if cell[0] == size]
    best = min(own, key=lambda cell: abs(np.log(cell[1] / rate)), default=None)
    return best if best is not None and max(best[1] / rate, rate / best[1]) < NEAR else None


def main() -> None:
    """Prints what came of it."""
    if not _ADVICE.value:
        raise ValueError('--advice=<file> is needed: what `bsresearch advise --json` wrote')
    told, workdir = sealed(pathlib.Path(_ADVICE.value)), command.workdir()
    runs = of_workdir.runs(workdir, study=_STUDY.value, target=told['target'])
    grid = cells(runs)
    means = {cell: float(values.mean()) for cell, values in grid.items()}
    best = min(means, key=lambda cell: means[cell])
    size, rate = told['batch_size']['choice'], told['learning_rate']['choice']
    named = nearest(grid, size, rate)
    print(f'advice of {told["time"]}, sha256 {told["sha256"][:12]}: B = {size:g}, lr {rate:.2g}, to {told["target"]}')
    print(f'best of {len(grid)} cells: B = {best[0]:g}, lr {best[1]:.2g}, {means[best]:.3g} s (n = {len(grid[best])})')
    if named is None:
        print(f'the grid has no rate within a factor of {NEAR:g} of that at B = {size:g}')
    else:
        print(f'named: B = {named[0]:g}, lr {named[1]:.2g}, {means[named]:.3g} s; '
              f'regret {100 * (means[named] / means[best] - 1):+.0f} %')  # fmt: skip
    low, high = told['batch_size']['low'], told['batch_size']['high']
    print(f'as good: B = {low:g} to {high:g}, {"holds" if low <= best[0] <= high else "does not hold"} the best')
    for of in ('seconds', 'epochs'):
        inside, total = covered(told['batch_sizes'], cells(runs, of), of)
        print(f'in their 95 % interval of {of}: {inside} of {total} runs')


def covered(rows: list[dict[str, Any]], grid: dict[tuple[float, float], np.ndarray], of: str) -> tuple[int, int]:
    """How many runs lie in the intervals of their batch sizes, at the rate nearest to the one told; and of how many."""
    inside, total = 0, 0
    for row in rows:
        rate = row['learning_rate']['choice']
        cell = None if row['refusal'] or of not in row or rate is None else nearest(grid, row['batch_size'], rate)
        if cell is not None:
            inside += int(((grid[cell] >= row[of]['low']) & (grid[cell] <= row[of]['high'])).sum())
            total += len(grid[cell])
    return inside, total


def define_flags() -> None:
    """The flags that are shared with other readers of records."""
    flags.DEFINE_string('workdir', None, command.WORKDIR)


if __name__ == '__main__':
    define_flags()
    command.run('python -m scripts.check_advice', main)
