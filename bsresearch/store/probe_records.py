"""Probes on disk: what they were told to measure, their meta, and what they measured."""

import pathlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from bsresearch.store import older, paths, records, verify
from bsresearch.store.paths import RESTORE, Damaged


def status(directory: pathlib.Path) -> dict[str, Any]:
    """A probe's meta; empty if it was not begun.

    Raises:
      Damaged: there is none, though something was measured, or that is not what it was.
    """
    meta = paths.read_json(directory / 'meta.json')
    if not meta and any((directory / 'arrays').glob('*.npz')):
        raise Damaged(f'{directory}/meta.json is missing or empty, though the probe has arrays; {RESTORE}')
    if meta:
        verify.check(directory, meta.get(verify.KEY))
    return meta or {}


def finished(
    workdir: str | pathlib.Path, name: str | None = None, ids: Collection[str] | None = None
) -> list[dict[str, Any]]:
    """The finished probes of one name, with these ids, or all: probe.json, `meta`, and `arrays`, what they measured."""
    probes = []
    for directory in records.described_dirs(pathlib.Path(workdir), 'probe.json'):
        if ids is not None and directory.name not in ids:
            continue
        stated, meta = paths.read_json(directory / 'probe.json', 'probe', 'points'), status(directory)
        if name in (None, stated['probe'].get('name')) and meta.get('status') == 'done':
            arrays = _arrays(pathlib.Path(workdir), directory, stated, meta)
            probes.append(stated | {'meta': meta, 'arrays': arrays})
    return probes


def arrays(workdir: pathlib.Path, directory: pathlib.Path) -> dict[str, np.ndarray] | None:
    """What the probe in a directory measured; None where it is not finished."""
    if (meta := status(directory)).get('status') != 'done':
        return None
    return _arrays(workdir, directory, paths.read_json(directory / 'probe.json', 'probe', 'points'), meta)


def _arrays(
    workdir: pathlib.Path, directory: pathlib.Path, stated: Mapping[str, Any], meta: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    runs = [paths.run_dir(workdir, p['study'], p['run']) for p in stated['points']]
    stored = paths.read_npz(paths.within(directory, meta.get('arrays')))
    return older.renamed(stored, any(map(older.smoothed, runs)))


def load(workdir: str | pathlib.Path, name: str, ids: Collection[str] | None = None) -> list[dict[str, Any]]:
    """As `finished`.

    Raises:
      FileNotFoundError: there are none.
    """
    probes = finished(workdir, name, ids)
    if not probes:
        raise FileNotFoundError(
            f'no finished {name} probes in {workdir}; `bsresearch run` with --config.probe.name={name} makes them'
        )
    return probes
