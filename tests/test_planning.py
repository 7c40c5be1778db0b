"""Groups that fit the device: split into the fewest even ones before anything is written, or refused."""

import pathlib
import re

import pytest
import toy

from bsresearch.launching import fitting, groups
from bsresearch.store import paths
from bsresearch.train import feed
from bsresearch.train.devices import layout
from bsresearch.train.sizing import memory

WIDE = {'name': 'mlp', 'widths': (256, 256)}


@pytest.fixture
def room(patching: pytest.MonkeyPatch) -> int:
    """A device that holds three of the runs below, with what cannot be split, and not four."""
    runs = toy.plans(sweep__seed=(0, 1, 2, 3), model=WIDE, strategy='vmap')
    needed = [fitting.once(memory.analysed, runs[:n], 'vmap', layout.ALONE).total for n in (3, 4)]
    size = int(sum(needed) / 2 / fitting.HEADROOM)
    patching.setattr(feed, 'device_memory', lambda: size)
    return size


@pytest.mark.usefixtures('room')
@pytest.mark.parametrize(('runs', 'parts'), [(3, [3]), (4, [2, 2]), (6, [3, 3]), (7, [3, 2, 2]), (8, [3, 3, 2])])
def test_a_group_is_split_into_the_fewest_even_ones_that_fit(runs: int, parts: list[int]):
    """By counting: at most three fit."""
    said: list[str] = []
    plans = toy.plans(sweep__seed=tuple(range(runs)), model=WIDE, strategy='vmap')
    found = fitting.groups(plans, said.append)
    assert sorted(map(len, found), reverse=True) == parts
    assert [p.id for part in found for p in part] == [p.id for p in plans]
    assert len(said) == (len(parts) > 1)
    if said:
        wanted = rf'group of {runs} runs needs .* per device, there are .*: split into {len(parts)} of .*'
        assert re.fullmatch(wanted, said[0])


@pytest.mark.usefixtures('room')
def test_split_groups_train_every_run_once_and_are_found_again(workdir: pathlib.Path):
    """The first command splits, a later one on a larger device goes on with what was formed."""
    plans = toy.plans(sweep__seed=(0, 1, 2, 3), model=WIDE, strategy='vmap', total_steps=3)
    paths.claim_workdir(workdir)
    formed = groups.form(workdir, plans, print)
    assert sorted(len(group.plans) for group in formed) == [2, 2]
    with pytest.MonkeyPatch.context() as larger:
        larger.setattr(feed, 'device_memory', lambda: 2**34)
        again = groups.form(workdir, plans, print)
        assert sorted(g.id for g in again) == sorted(g.id for g in formed)
        toy.train(workdir, plans)
    metas = [paths.read_json(paths.run_dir(workdir, p.study, p.id) / 'meta.json') for p in plans]
    assert [m['status'] for m in metas] == ['done'] * 4
    assert [m['replicas'] for m in metas] == [2] * 4


def test_a_run_that_does_not_fit_is_refused_before_anything_is_written(
    workdir: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    """Named: what it needs, what there is, and what would help."""
    growing = {'name': 'growth', 'at_fractions': (0.5,)}
    plans = toy.plans(sweep__seed=(0, 1), model=WIDE, strategy='vmap', batch_schedule=growing, total_steps=None,
                      total_epochs=1.0)  # fmt: skip
    monkeypatch.setattr(feed, 'device_memory', lambda: 10**5)
    wanted = r'a run at batch_size=16 needs [\d,]+ bytes .* which has 100,000 .*micro_batch_size'
    with pytest.raises(ValueError, match=wanted):
        toy.train(workdir, plans)
    assert not list(workdir.glob('*/*/meta.json'))
