"""study.json: which run plays which part in a study, written down when the runs are launched; one per study folder.

{'schema': 1, 'findings': {name: {'base', 'held_fixed', 'replicates', 'arms', 'branch_arms', 'rows'}}, 'sha256'}. In
the entry of a findings stand the base config (without fields outside ids, axes and replicates), what arms have in
common, the fields whose values repeat a cell (zipped ones as a list), all declared arms with their changes by dotted
path, or the arm that one is, and a row per run or probe, cell and replicate: id, kind (run | branch | probe), arm,
axes, replicate, branch, point (the declared epoch, or "end"), probe.
"""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from bsresearch.store import paths

NAME = 'study.json'
SCHEMA = 1
REBUILD = '`bsresearch status --rebuild` with its --workdir and --config makes it anew from the runs'
Entry = dict[str, Any]


def read(folder: pathlib.Path) -> dict[str, Entry]:
    """The entries of a study by the name of their findings; none where the file is not there.

    Args:
      folder: of the study, `<workdir>/<study>`.

    Raises:
      Damaged: it is not what was written; with the cure.
    """
    file = folder / NAME
    try:
        content = paths.read_json(file, 'schema', 'findings')
        if content is None:
            return {}
        if not paths.is_sealed(file):
            raise paths.Damaged(f'{file} is damaged (it has no sha256); {paths.RESTORE}')
    except paths.Damaged as e:
        raise paths.Damaged(f'{str(e).removesuffix(paths.RESTORE)}{REBUILD}') from e
    if content['schema'] != SCHEMA:
        raise ValueError(f'{file} has schema {content["schema"]}, this version reads {SCHEMA}; use that which wrote it')
    return content['findings']


def update(folder: pathlib.Path, name: str, change: Callable[[Entry | None], Entry]) -> None:
    """Replaces one entry by what `change` makes of it; a file that would stay as it is is not written.

    The caller holds the lock under which groups are formed in this study.
    """
    entries = read(folder)
    entry = change(entries.get(name))
    if entry != entries.get(name):
        write(folder, {**entries, name: entry})


def write(folder: pathlib.Path, entries: Mapping[str, Entry]) -> None:
    """Writes the file, the old one whole until the new one is; in the order of the declaration."""
    paths.write_json(folder / NAME, {'schema': SCHEMA, 'findings': entries}, sort_keys=False)
