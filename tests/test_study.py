"""What a study would ignore is refused; every config of the project passes the check of its study."""

import importlib
import pathlib
from typing import Any

import pytest
import toy

from bsresearch import studies
from bsresearch.core import lookup
from bsresearch.planning import schema

NAMES = lookup.members(studies.PACKAGE, 'stages')
PROBES, BRANCHES = 'gradient_norm or interpolation or shen', 'critical_batch_size or reload or shen'
CONFIGS = sorted(p.stem for p in (pathlib.Path(__file__).parent.parent / 'configs').glob('*.py'))


@pytest.mark.parametrize(
    ('name', 'changes', 'field', 'others'),
    [
        ('train', {'probe__name': 'gradient_norm'}, "probe.name='gradient_norm'", PROBES),
        ('train', {'probe__at_epochs': (1,)}, 'probe.at_epochs=(1,)', PROBES),
        ('lr_range', {'branch__at_steps': (3,)}, 'branch.at_steps=(3,)', BRANCHES),
        ('gradient_norm', {'branch__more_epochs': 2.0}, 'branch.more_epochs=2.0', BRANCHES),
        ('reload', {'branch__multiples': (2,)}, 'branch.multiples=(2,)', 'critical_batch_size;'),
        ('reload', {'branch__evaluations': 2}, 'branch.evaluations=2', 'critical_batch_size;'),
        ('critical_batch_size', {'branch__batch_sizes': (8,)}, 'branch.batch_sizes=(8,)', 'reload or shen'),
        ('reload', {'probe__name': 'interpolation'}, "probe.name='interpolation'", 'gradient_norm or interpolation'),
    ],
)  # fmt: skip
def test_what_would_be_ignored_is_refused(name: str, changes: dict[str, Any], field: str, others: str):
    """One line: the value, the studies it is for, the cure."""
    with pytest.raises(ValueError, match=r'is for config\.study=') as caught:
        studies.check(name, toy.plans(study=name, **changes))
    message = str(caught.value)
    assert message.startswith(f'config.{field} is for config.study={others}')
    assert f'config.study={name} would ignore it: leave it out' in message
    assert '\n' not in message


def test_what_is_not_given_is_not_refused():
    for name in ('train', 'brownlee'):
        studies.check(name, toy.plans(study=name, evaluate__every_epochs=1.0))


@pytest.mark.parametrize('name', NAMES)
def test_a_study_names_fields_that_there_are(name: str):
    known = schema.known()
    for section, fields in getattr(studies.module(name), 'SECTIONS', {}).items():
        assert section in studies.PARTIAL
        assert set(fields or ()) <= set(known[section])


@pytest.mark.parametrize('name', CONFIGS)
def test_configs_give_their_study_what_it_uses(name: str):
    """Without planning: their data may not be prepared here."""
    config = importlib.import_module(f'configs.{name}').get_config()
    sections = getattr(studies.module(config.study), 'SECTIONS', {})
    for section in studies.PARTIAL:
        given = studies.given(section, config[section].to_dict())
        assert not given or section in sections
        assert sections.get(section) is None or set(given) <= set(sections[section])
