"""Probe: what is measured at points of runs apart from their training, with every number resolved; its id."""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bsresearch.core import lookup, own_part
from bsresearch.measure.probes import POINTS, Kind
from bsresearch.planning.plan import Plan, canonical, tuples


def kind(section: dict[str, Any]) -> Kind:
    """The probe that a completed `config.probe` names."""
    build = lookup.module('bsresearch.measure.probes', 'build', section['name'], 'probe').build
    built = build(**{k: v for k, v in section.items() if k not in ('name', *POINTS)})
    if not isinstance(built, Kind):
        raise ValueError(
            f'probe {section["name"]} returned {type(built).__name__}; allowed: a Kind '
            '(bsresearch/measure/probes/__init__.py)'
        )
    return built


@dataclass(frozen=True)
class Probe:
    """A probe.

    Attributes:
      study: the folder it lies in. section: the completed `config.probe`.
      points: (run, update) whose weights it looks at. learning_rate: η, what its steps are made with.
    """

    study: str
    section: dict[str, Any]
    points: tuple[tuple[Plan, int], ...]
    learning_rate: float

    @property
    def name(self) -> str:
        """Of its kind; of a file of a user's own without the folder."""
        return own_part.unplaced(self.section['name'])

    def __str__(self) -> str:
        """Its kind, where it is made and, if it makes steps, its η."""
        at = ', '.join(f'run {p.id} at epoch {p.length.epoch_at(s):g}' for p, s in self.points)
        return f'{self.name}, {at}' + (f', η = {self.learning_rate:g}' if self.learning_rate else '')

    def identity(self) -> dict[str, Any]:
        """What determines its result: the points, η and the settings that are not the default."""
        build = lookup.module('bsresearch.measure.probes', 'build', self.section['name'], 'probe').build
        usual = lookup.keywords(build)
        elsewhere = (*POINTS, 'learning_rates')
        settings = {k: v for k, v in self.section.items() if k not in elsewhere and (k == 'name' or v != usual[k])}
        points = [[plan.id, step] for plan, step in self.points]
        return {'probe': own_part.unplaced(settings), 'points': points, 'learning_rate': self.learning_rate}

    @functools.cached_property
    def id(self) -> str:
        """As a run's."""
        return hashlib.sha256(canonical(self.identity()).encode()).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        """All fields, for `from_json`."""
        points = [[plan.to_json(), step] for plan, step in self.points]
        return {'study': self.study, 'section': self.section, 'points': points, 'learning_rate': self.learning_rate}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> 'Probe':
        """The probe that `to_json` wrote."""
        points = tuple((Plan.from_json(plan), step) for plan, step in stored['points'])
        return cls(stored['study'], tuples(stored['section']), points, stored['learning_rate'])

    @property
    def kind(self) -> Kind:
        """Its functions."""
        return kind(self.section)
