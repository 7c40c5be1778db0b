"""Arms in configs: which runs they are, what overrides and axes do to them, what cannot be; branch arms; held fixed."""

import pathlib
import re
from collections.abc import Callable
from typing import Any

import pytest
import toy
from ml_collections import ConfigDict

from bsresearch import studies
from bsresearch.launching import command, flag_parser, groups
from bsresearch.planning import held_fixed, schema, sweep
from bsresearch.planning.plan import Plan

Edit = Callable[[Any], Any]


def base() -> Any:
    """A linear model on digits for two epochs, with seeds 0 and 1."""
    c = schema.defaults()
    c.model.name = 'linear'
    c.total_epochs = 2.0
    c.sweep.seed = (0, 1)
    return c


def three() -> Any:
    """Small, large, and large at a higher rate, with the rate of the base as the others'."""
    c = base()
    c.learning_rate = 0.05
    c.arms.small = dict(batch_size=8)
    c.arms.large = dict(batch_size=64)
    c.arms.higher_rate = dict(batch_size=64, learning_rate=0.2)
    return c


def grid(config: Any, overrides: dict[str, Any] | None = None, pick: tuple[str, ...] = ()) -> sweep.Grid:
    return sweep.grid(config.to_dict(), overrides, pick)


def told(p: Plan) -> tuple[int, float, int]:
    return p.batch_size, p.policy.learning_rate, p.seed


def by_arm(of: sweep.Grid) -> dict[str, list[tuple[int, float, int]]]:
    """Of each arm its runs as (batch size, learning rate, seed)."""
    plans = {p.id: p for p in of.plans}
    found: dict[str, list[tuple[int, float, int]]] = {}
    for row in of.rows:
        found.setdefault(row.arm, []).append(told(plans[row.id]))
    return found


# --- what arms are


def test_arms_are_their_changes_of_the_base_in_declared_order():
    """Brute force: each arm is the config with its changes, and the ids are those of the plain config."""
    found = grid(three())
    runs = {'small': [(8, 0.05, 0), (8, 0.05, 1)], 'large': [(64, 0.05, 0), (64, 0.05, 1)],
            'higher_rate': [(64, 0.2, 0), (64, 0.2, 1)]}  # fmt: skip
    assert by_arm(found) == runs
    assert list(by_arm(found)) == list(runs)
    plain = base()
    plain.learning_rate = 0.05
    zipped = {'sweep.zip.batch_size': (8, 64, 64), 'sweep.zip.learning_rate': (0.05, 0.05, 0.2)}
    assert [p.id for p in found.plans] == [p.id for p in sweep.expand(plain.to_dict(), zipped)]
    assert [p.id for p in sweep.expand(three().to_dict())] == [p.id for p in found.plans]


def test_what_a_run_declares_is_its_own_and_no_longer_a_grid():
    for p in grid(three()).plans:
        assert [q.id for q in sweep.expand(p.declared)] == [p.id]
        assert not set(schema.QUESTION) & set(p.declared)


def test_an_arm_without_fields_is_the_base():
    c = base()
    c.arms.plain = dict()
    c.arms.other = dict(batch_size=16)
    assert by_arm(grid(c))['plain'] == [(32, 0.1, 0), (32, 0.1, 1)]


def test_an_alias_shares_the_runs_of_the_arm_that_it_is():
    c = three()
    c.arms.batch = 'large'
    c.arms.again = 'batch'
    found = grid(c)
    assert len(found.plans) == 6
    assert by_arm(found)['batch'] == by_arm(found)['again'] == by_arm(found)['large']
    assert found.question is not None
    assert found.question.arms['again'] == 'large'


def test_axes_multiply_with_arms_and_an_arm_may_have_its_own():
    """By hand: cells are ragged."""
    c = base()
    c.arms.sgd = dict(batch_size=16)
    c.arms['adam'] = dict(optimizer=dict(name='adam'))
    c.arms.adam.sweep.learning_rate = (0.001, 0.01)
    c.arms.adam.sweep.optimizer = dict(beta2=(0.9, 0.99))
    c.sweep.weight_decay = (0.0, 0.1)
    found = grid(c)
    plans = {p.id: p for p in found.plans}
    assert len([r for r in found.rows if r.arm == 'sgd']) == 4
    adam = [r for r in found.rows if r.arm == 'adam']
    assert [(r.axes['learning_rate'], r.axes['optimizer.beta2'], r.axes['weight_decay'], r.replicate['seed'])
            for r in adam] == [(e, b, w, s) for e in (0.001, 0.01) for b in (0.9, 0.99) for w in (0.0, 0.1)
                               for s in (0, 1)]  # fmt: skip
    for row in adam:
        plan = plans[row.id]
        assert (plan.policy.learning_rate, plan.optimizer['beta2']) == (
            row.axes['learning_rate'],
            row.axes['optimizer.beta2'],
        )
    assert found.question is not None
    assert found.question.base['learning_rate'] == 0.1  # of the arms without the axis
    assert 'weight_decay' not in found.question.base


def test_a_name_in_an_arms_section_starts_its_part_anew():
    """As an axis value does; without a name the section is merged. What all parts share stays."""
    c = base()
    c.schedule.name, c.schedule.at_fractions, c.schedule.factor = 'step', (0.5,), 0.5
    c.data.validation = 0.1
    c.arms.merged = dict(schedule=dict(at_fractions=(0.25,)))
    c.arms.anew = dict(schedule=dict(name='step', at_fractions=(0.25,)), data=dict(name='digits'))
    found = {row.arm: next(p for p in grid(c).plans if p.id == row.id) for row in grid(c).rows}
    assert (found['merged'].policy.schedule['factor'], found['anew'].policy.schedule['factor']) == (0.5, 0.1)
    assert found['anew'].data['validation'] == 0.1


def test_one_length_and_one_warm_up_replace_the_others():
    c = base()
    c.warmup.epochs = 1.0
    c.arms.updates = dict(total_steps=5, warmup=dict(steps=2))
    c.arms.epochs = dict()
    first, _, second, _ = grid(c).plans
    assert (first.length.total_steps, first.policy.warmup['examples']) == (5, 64)
    assert (second.total_examples, second.policy.warmup['examples']) == (2 * 1437, 1437)


# --- replicates


def test_replicates_are_the_swept_seeds():
    """One axis, zipped ones, crossed ones, one by name; a seed from the command line is one too."""
    found = grid(three())
    assert found.question is not None
    assert found.question.replicates == ['seed']
    assert [r.replicate for r in found.rows[:2]] == [{'seed': 0}, {'seed': 1}]
    found = grid(three(), {'seed': 7})
    assert [r.replicate for r in found.rows] == [{'seed': 7}] * 3
    c = three()
    c.sweep = ConfigDict({'zip': {'init_seed': (0, 1), 'data_seed': (2, 3)}})
    found = grid(c)
    assert found.question is not None
    assert found.question.replicates == [['init_seed', 'data_seed']]
    assert found.rows[1].replicate == {'init_seed': 1, 'data_seed': 3}
    c.sweep = ConfigDict({'init_seed': (0, 1), 'data_seed': (2, 3)})
    found = grid(c)
    assert found.question is not None
    assert found.question.replicates == ['init_seed', 'data_seed']
    assert len(found.rows) == 12
    c = three()
    c.data.name, c.replicates = 'blobs', ('data.random_state',)
    c.sweep.data = dict(random_state=(1, 2))
    found = grid(c)
    assert found.question is not None
    assert found.question.replicates == ['data.random_state']
    assert found.rows[1].replicate == {'data.random_state': 1}
    assert found.rows[1].axes == {'seed': 1}


# --- overrides: config, command line, arm, axis


def test_an_override_changes_the_arms_that_do_not_set_the_field():
    found = grid(three(), {'learning_rate': 0.01})
    assert {arm: runs[0][1] for arm, runs in by_arm(found).items()} == {
        'small': 0.01, 'large': 0.01, 'higher_rate': 0.2,
    }  # fmt: skip
    (note,) = found.notes
    assert note.endswith('unchanged: higher_rate')
    assert grid(three(), {'total_epochs': 1.0}).notes == []


def test_a_field_of_an_arm_can_be_overridden():
    found = grid(three(), {'arms.large.batch_size': 128, 'arms.large.learning_rate': 0.3})
    assert by_arm(found)['large'][0] == (128, 0.3, 0)
    found = grid(three(), {'arms.small.sweep.learning_rate': (0.1, 0.3)})
    assert [run[1] for run in by_arm(found)['small']] == [0.1, 0.1, 0.3, 0.3]
    c = base()
    c.arms.a = dict(schedule=dict(name='step', at_fractions=(0.5,)), total_epochs=1.0)
    first, _ = grid(c, {'arms.a.schedule.name': 'cosine', 'arms.a.total_steps': 7}).plans
    assert (first.policy.schedule['name'], first.length.total_steps) == ('cosine', 7)


def test_arms_are_picked_by_name():
    assert list(by_arm(grid(three(), pick=('higher_rate', 'small')))) == ['small', 'higher_rate']
    # Of those picked none sets it.
    assert by_arm(grid(three(), {'learning_rate': 0.01}, ('small',))) == {'small': [(8, 0.01, 0), (8, 0.01, 1)]}
    c = three()
    c.arms.batch = 'large'
    found = grid(c, pick=('batch',))
    assert list(by_arm(found)) == ['large', 'batch']
    assert found.question is not None
    assert list(found.question.arms) == ['small', 'large', 'higher_rate', 'batch']


def test_an_override_inside_a_renamed_section_reaches_whom_it_can():
    """Arms that name the part keep their own; a field that all parts share goes to all."""
    c = base()
    c.schedule.name, c.schedule.at_fractions = 'step', (0.5,)
    c.arms.step = dict()
    c.arms.cosine = dict(schedule=dict(name='cosine'))
    found = grid(c, {'schedule.factor': 0.5, 'data.validation': 0.1})
    assert len(found.notes) == 1
    assert {p.data['validation'] for p in found.plans} == {0.1}
    assert [p.policy.schedule.get('factor') for p in found.plans] == [0.5, 0.5, None, None]


# --- bad input


def edited(edit: Edit, make: Callable[[], Any] = three) -> Any:
    c = make()
    edit(c)
    return c


def add(name: str, **fields: Any) -> Edit:
    return lambda c: c.arms.__setitem__(name, fields)


BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    'another arm by accident': (edited(add('big', batch_size=64)), {}, "arm big resolves to arm large (a run of "),
    'another arm after scaling': (
        edited(lambda c: [add('scaled', batch_size=32, scaling=dict(name='linear', reference_batch_size=8))(c),
                          add('by_hand', batch_size=32, learning_rate=0.2)(c)]), {},
        'arm by_hand resolves to arm scaled (after scaling',
    ),
    'another arm by an override': (three(), {'arms.small.batch_size': 64}, "c.arms.large = 'small'"),
    'a field that every arm sets': (
        three(), {'batch_size': 4},
        '--config.batch_size: every arm sets it, so that this would change nothing; give --config.arms.small.',
    ),
    'a length beside the arms own': (
        edited(lambda c: [add(a, total_steps=s)(c) for a, s in (('small', 3), ('large', 4), ('higher_rate', 5))]),
        {'total_epochs': 1.0}, 'give --config.arms.small.total_steps=',
    ),
    'a method': (edited(add('items', batch_size=4)), {}, 'config.arms.items: no name for an arm'),
    'a slash': (edited(add('a/b', batch_size=4)), {}, 'config.arms.a/b: no name for an arm'),
    'a misspelt field': (edited(add('x', bathc_size=4)), {}, 'config.arms.x: unknown config field bathc_size'),
    'a misspelt field of a part': (
        edited(add('x', model=dict(widht=4))), {}, 'arm x: unknown config field model.widht',
    ),
    'a value for a section': (edited(add('x', model='mlp')), {}, "config.arms.x: config field model='mlp': a section"),
    'a number': (edited(lambda c: c.arms.__setitem__('x', 3)), {}, 'config.arms.x=3: a section of fields is needed'),
    'an alias of none': (
        edited(lambda c: c.arms.__setitem__('x', 'lrge')), {}, "config.arms.x='lrge' is no arm; did you mean 'large'?",
    ),
    'aliases in a circle': (
        edited(lambda c: [c.arms.__setitem__('x', 'y'), c.arms.__setitem__('y', 'x')]), {}, 'round in a circle',
    ),
    'an override of no arm': (three(), {'arms.lrge.batch_size': 4}, '--config.arms.lrge.batch_size: a field of an arm'),
    'an axis over what an arm sets': (
        three(), {'sweep.learning_rate': (0.1, 0.2)}, 'config.sweep.learning_rate: arm higher_rate sets learning_rate',
    ),
    'a zip over what an arm sets': (
        three(), {'sweep.zip.batch_size': (4, 8)}, 'config.sweep.zip.batch_size: arm small sets batch_size',
    ),
    'an axis of lengths': (
        edited(add('x', total_steps=4)), {'sweep.total_epochs': (1.0, 2.0)}, 'arm x sets total_steps itself',
    ),
    'an axis of names over an arms field': (
        edited(add('x', optimizer=dict(beta2=0.9))), {'sweep.optimizer.name': ('adam', 'adamw')},
        'config.sweep.optimizer.name: arm x sets optimizer.beta2 itself',
    ),
    'an own axis over its own field': (
        edited(lambda c: c.arms.__setitem__('x', dict(batch_size=4, sweep=dict(batch_size=(4, 8))))), {},
        'config.arms.x.sweep.batch_size: arm x sets batch_size itself',
    ),
    'a seed': (edited(add('x', seed=4)), {}, 'config.sweep.seed: arm x sets seed itself'),
    'a replicate': (edited(add('x', seed=4)), {'seed': 1}, 'config.arms.x.seed: a replicate, which arms have in '),
    'another study': (edited(add('x', study='shen')), {}, 'config.arms.x.study: an arm cannot set it'),
    'branches': (
        edited(add('x', branch=dict(arms=dict(y=dict(batch_size=3))))), {}, 'config.branch.arms.<name>.of says of',
    ),
    'only what is recorded': (edited(add('x', batch_size=8, record=dict(dense=True))), {}, 'arm x resolves to'),
    'two lengths': (edited(add('x', total_steps=4, total_epochs=1.0)), {}, 'arm x: a run needs exactly one length'),
    'replicates of no field': (
        edited(lambda c: c.__setattr__('replicates', ('sed',))), {}, "config.replicates='sed' is no field of a run",
    ),
    'held fixed: a typo': (
        edited(lambda c: c.__setattr__('held_fixed', ('epochs', 'noise_temprature'))), {},
        "'noise_temprature' is no length, field or derived quantity; did you mean 'noise_temperature'?",
    ),
}  # fmt: skip


def test_arms_that_scaling_makes_equal_at_one_size_alone_are_two():
    """At the reference size every rule is the same; all runs of an arm have to be another's."""
    c = base()
    for rule in ('linear', 'sqrt'):
        add(rule, scaling=dict(name=rule, reference_batch_size=8), sweep=dict(batch_size=(8, 32)))(c)
    rates = [rate for _, rate, _ in by_arm(grid(c))['sqrt']]
    assert rates == [0.1, 0.1, 0.2, 0.2]


@pytest.mark.parametrize('case', BAD, ids=lambda c: c.replace(' ', '-'))
def test_what_cannot_be_is_refused_with_the_cure(case: str):
    config, overrides, message = BAD[case]
    with pytest.raises(ValueError, match=re.escape(message)) as e:
        grid(config, overrides)
    assert '\n' not in str(e.value)


def test_an_unknown_pick_is_refused():
    with pytest.raises(ValueError, match=r"--arms=lrge: no such arm; did you mean 'large'\?"):
        grid(three(), pick=('lrge',))
    with pytest.raises(ValueError, match=r'--arms=x: no such arm; allowed: all'):
        grid(base(), pick=('x',))


ARMED = """
from bsresearch import schema
def get_config():
    c = schema.defaults()
    c.model.name, c.total_epochs, c.sweep.seed = 'linear', 2.0, (0, 1)
    c.arms.small = dict(batch_size=8)
    c.arms.large = dict(batch_size=64)
    return c
"""


def test_arms_on_the_command_line(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    """Whole floats as whole numbers, new fields, an arm's own axis; an unknown arm is one line."""
    file = tmp_path / 'armed.py'
    file.write_text(ARMED)
    config, request = toy.typed(
        command.Request, f'--config={file}', '--dry_run', '--arms=large,small', '--config.arms.large.batch_size=1e2',
        '--config.arms.small.learning_rate=0.5', '--config.arms.small.sweep.weight_decay=0.0,0.1',
        '--config.learning_rate=0.2',
    )  # fmt: skip
    assert command.run(config, request) == 0
    said = capsys.readouterr().out
    assert '6 runs' in said
    assert '--config.learning_rate changes the arms that do not set it; unchanged: small' in said
    overrides = flag_parser.declared(config)[1]
    assert overrides['arms.large.batch_size'] == 100
    with pytest.raises(SystemExit):
        toy.typed(command.Request, f'--config={file}', '--config.arms.enormous.batch_size=3')
    told = capsys.readouterr().err
    assert told.count('\n') == 1
    assert "the config has no arm 'enormous'" in told


def test_arms_keep_their_order_or_are_refused():
    c = three()
    c.arms.another = dict(batch_size=4)
    assert list(c.to_dict()['arms']) == ['small', 'large', 'higher_rate', 'another']
    with pytest.raises(TypeError):  # sorted, it would be
        c.arms = dict(b=dict(batch_size=4), a=dict(batch_size=8))


# --- held fixed


def test_what_is_held_fixed_is_parsed():
    allowed = held_fixed.fields(schema.known())
    names = ('epochs', 'target', 'batch_size/workers', 'noise_temperature', 'model.widths', 'data')
    assert [(h.kind, h.fields) for h in held_fixed.parse(names, allowed)] == [
        ('length', ()), ('reading', ()), ('derived', ('batch_size', 'workers')), ('derived', ()),
        ('field', ('model.widths',)), ('field', ('data',)),
    ]  # fmt: skip
    for wrong, message in (
        (('tuned',), 'a length is needed beside it'),
        (('epochs', 'epochs'), 'stands there twice'),
        (('batch_size/wokers',), "'wokers' is no length, field or derived quantity; did you mean 'workers'"),
        (('record.dense',), "'record.dense' is no length"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            held_fixed.parse(wrong, allowed)


# --- branch arms


def branching(**section: Any) -> Any:
    """Two arms; runs of large branch, at epoch 1."""
    c = three()
    del c.arms['higher_rate']
    c.study = 'reload'
    c.branch.arms.switch_small = dict(of=('large',), at_epochs=(1,), batch_size=8)
    c.branch.arms.switch_rate = dict(of=('large',), at_epochs=(1, 2), learning_rate=0.2)
    for name, value in section.items():
        c.branch[name] = value
    return c


def branches(c: Any) -> list[Any]:
    plans = grid(c).plans
    studies.check(c.study, plans)
    return list(studies.module(c.study).stages(plans))[1]


def test_branch_arms_give_the_branches_that_lists_of_values_give():
    """Golden by the older way: same ids, the control first, at every point."""
    c = branching()
    old = base()
    old.study, old.batch_size, old.learning_rate = 'reload', 64, 0.05
    old.branch.at_epochs, old.branch.batch_sizes, old.branch.learning_rates = (1, 2), (8,), (0.2,)
    found, older = branches(c), branches(old)
    names = [(b.name, b.point, b.plan.seed) for b in found if b.plan.seed == 0]
    assert names == [('control', 1, 0), ('switch_small', 1, 0), ('switch_rate', 1, 0), ('control', 2, 0),
                     ('switch_rate', 2, 0)]  # fmt: skip
    at_two = [b.plan.id for b in older if (b.name, b.point) == ('batch_size=8', 2)]
    assert [b.plan.id for b in found] == [b.plan.id for b in older if b.plan.id not in at_two]
    assert len(at_two) == 2


def test_branch_arms_are_no_part_of_what_is_recorded_or_shared():
    """Recording, static key and id are those without branches but for the checkpoints that are kept for them."""
    with_arms, plain = grid(branching()).plans, three()
    plain.study = 'reload'
    without = grid(plain).plans[:4]
    assert [p.id for p in with_arms] == [p.id for p in without]
    for a, b in zip(with_arms[:2], without[:2], strict=True):  # small branches nowhere
        assert (a.recording, a.static_key()) == (b.recording, b.static_key())
    large, usual = with_arms[2], without[2]
    assert 'arms' not in large.recording['branch']
    assert large.recording['keep']['at_steps'] == (23, 45)
    assert large.recording | {'keep': {}} == usual.recording | {'keep': {}}
    assert Plan.from_json(large.to_json()) == large
    (branch, *_) = branches(branching())
    assert branch.plan.declared['branch']['arms'] == {}


def test_a_group_that_older_branches_began_goes_on_without_a_word(tmp_path: pathlib.Path):
    """Which branches it gets is no fact of what is recorded of it."""
    old = base()
    old.study, old.batch_size, old.learning_rate = 'reload', 64, 0.05
    old.branch.at_epochs, old.branch.batch_sizes = (1, 2), (8,)
    begun = groups.form(tmp_path, grid(old).plans, pytest.fail, 'cpu')
    again = groups.form(tmp_path, grid(branching(), pick=('large',)).plans, pytest.fail, 'cpu')
    assert [g.id for g in again] == [g.id for g in begun]


def test_a_state_and_a_part_may_be_a_branch_arms():
    c = branching(data='reset')
    c.branch.arms.adam = dict(of=('large',), at_epochs=(1,), optimizer=dict(name='adam'), state=dict(random='reset'))
    plan = next(b.plan for b in branches(c) if b.name == 'adam')
    assert plan.parent is not None
    state = plan.parent['state']
    assert (state['data'], state['random'], state['optimizer'], plan.optimizer['name']) == (
        'reset', 'reset', 'reset', 'adam',
    )  # fmt: skip


BAD_BRANCHES: dict[str, tuple[dict[str, Any], str]] = {
    'control': ({'control': dict(batch_size=3)}, 'config.branch.arms.control: the control is always there'),
    'misspelt': ({'x': dict(bach_size=3)}, 'config.branch.arms.x: unknown config field bach_size'),
    'of none': ({'x': dict(of=('lrge',), batch_size=3)}, "config.branch.arms.x.of='lrge': no such arm; did you mean"),
    'of a word': ({'x': dict(of='large', batch_size=3)}, "config.branch.arms.x.of='large'"),
    'length': ({'x': dict(total_epochs=9.0)}, 'config.branch.arms.x.total_epochs: config.branch.more_epochs'),
    'sweep': ({'x': dict(sweep=dict(batch_size=(2, 3)))}, 'config.branch.arms.x.sweep.batch_size: a branch cannot'),
    'the parent': ({'x': dict(of=('large',), at_epochs=(1,), batch_size=64)}, 'what its branch control is'),
    'another one': ({'x': dict(of=('large',), at_epochs=(1,), batch_size=8)}, 'what its branch switch_small is'),
    'past the end': ({'x': dict(at_epochs=(3,), batch_size=9)}, 'config.branch.arms.x.at_epochs has the point 3, past'),
    'state': ({'x': dict(of=('large',), at_epochs=(1,), state=dict(dta='reset'))}, "unknown part of the state 'dta'"),
}


@pytest.mark.parametrize('case', BAD_BRANCHES)
def test_branch_arms_that_cannot_be_are_refused(case: str):
    arms, message = BAD_BRANCHES[case]
    c = branching()
    for name, given in arms.items():
        c.branch.arms[name] = given
    with pytest.raises(ValueError, match=re.escape(message)) as e:
        branches(c)
    assert '\n' not in str(e.value)


def test_branch_arms_are_for_studies_with_branches():
    c = branching()
    c.study = 'train'
    with pytest.raises(ValueError, match=r'config\.branch\.arms=.* is for config\.study=reload or shen'):
        studies.check('train', grid(c).plans)


def test_a_plain_sweep_asks_nothing():
    found = grid(base())
    assert found.question is None
    assert {row.arm for row in found.rows} == {'all'}
    c = base()
    c.findings = 'shen'
    of_findings = grid(c).question
    assert of_findings is not None
    assert (of_findings.findings, of_findings.arms) == ('shen', {})
