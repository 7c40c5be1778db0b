"""stages.json in a study's folder: launches whose later stages depend on results that are not there yet.

{'schema': 1, 'launches': {key: stages that are known}, 'sha256'}; the key tells launches apart by the runs of their
configs. A launch stands there from its first group on, until its stages are all known.
"""

import pathlib

from bsresearch.store import paths

NAME = 'stages.json'
SCHEMA = 1


def read(folder: pathlib.Path) -> dict[str, int]:
    """Key of a launch → how many of its stages are known; those of a study's folder, `<workdir>/<study>`.

    Raises:
      Damaged: the file is not what was written.
    """
    content = paths.read_json(folder / NAME, 'schema', 'launches')
    return {} if content is None else content['launches']


def note(folder: pathlib.Path, key: str, stages: int | None) -> None:
    """Writes down how many stages of a launch are known; None: all are. What changes nothing is not written.

    The caller holds the lock under which groups are formed in this study.
    """
    before = read(folder)
    after = {name: count for name, count in before.items() if name != key} | ({} if stages is None else {key: stages})
    if after != before:
        paths.write_json(folder / NAME, {'schema': SCHEMA, 'launches': after})
