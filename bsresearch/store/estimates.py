"""How long launches were estimated to take, and took: estimates.jsonl in a workdir, a line each."""

import json
import pathlib
from typing import Any

from bsresearch.store.paths import Damaged
from bsresearch.store.writer import drop_torn_line

FILE = 'estimates.jsonl'


def note(workdir: pathlib.Path, study: str, estimated: float, spent: float, ended: bool) -> None:
    """Writes down how long a launch was estimated to take, and took; in seconds. `ended`: it came to its end."""
    row = {'study': study, 'estimated_seconds': estimated, 'spent_seconds': spent, 'ended': ended}
    drop_torn_line(workdir / FILE)
    with open(workdir / FILE, 'a', encoding='utf-8') as f:
        f.write(json.dumps(row) + '\n')


def load(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """What `note` wrote, launch by launch; a last line torn by a kill is left out.

    Raises:
      Damaged: a line is not what was written.
    """
    file, launches = workdir / FILE, []
    for number, line in enumerate(file.read_bytes().split(b'\n')[:-1] if file.exists() else [], 1):
        try:
            row = json.loads(line)
            seconds = {name: float(row[name]) for name in ('estimated_seconds', 'spent_seconds')}
            launches.append({'study': str(row['study']), 'ended': bool(row['ended'])} | seconds)
        except (KeyError, TypeError, ValueError) as e:
            raise Damaged(f'{file}, line {number} is damaged ({type(e).__name__}: {e}); remove that line') from e
    return launches
