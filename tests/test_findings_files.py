"""Findings files: loaded by name or by path, faults told in one line with the place; names checked against a study."""

import pathlib
import re
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import planted
import pytest
from fake_records import write_run

from bsresearch import findings
from bsresearch.analysis import figures, fitted, names, of_probes, recorded
from bsresearch.analysis import study as studies
from bsresearch.analysis.along_axis import trend
from bsresearch.analysis.contrasts import alone, at, minus
from bsresearch.analysis.of_runs import final
from bsresearch.analysis.statements import Statement
from bsresearch.core import own_part
from bsresearch.launching import reading

GOOD = """
from bsresearch.analysis.contrasts import minus
from bsresearch.analysis.figures import curves
from bsresearch.analysis.of_runs import final
from bsresearch.analysis.statements import Statement

SOURCE, QUESTION = 'mine', 'Is it so?'
CLAIMS = (Statement('so', 'mine', 'It is so.', final('test_accuracy'), minus('small', 'large'), low=0),)
FIGURES = (curves('test_accuracy'),)
HEADLINE = ('so', 0)
"""


def load(folder: pathlib.Path, text: str) -> ModuleType:
    (folder / 'mine.py').write_text(text, encoding='utf-8')
    return findings.load(str(folder / 'mine.py'))


def told(folder: pathlib.Path, text: str) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        load(folder, text)
    assert '\n' not in str(caught.value)
    return str(caught.value)


def test_a_file_of_ones_own_is_loaded_with_what_lies_beside_it(tmp_path: pathlib.Path):
    (tmp_path / 'beside.py').write_text("KEY = 'so'\n", encoding='utf-8')
    module = load(tmp_path, 'import beside' + GOOD.replace("HEADLINE = ('so', 0)", 'HEADLINE = (beside.KEY, 0)'))
    assert module.HEADLINE == ('so', 0)
    assert [claim.key for claim in module.CLAIMS] == ['so']


def test_a_name_is_that_of_a_file_here():
    own = [findings.is_own(name) for name in ('mine/x.py', 'mine.x', 'shen', 'mine.py:doubled')]
    assert own == [True, True, False, False]
    assert findings.load('shen').HEADLINE[0] == 'A1'
    assert 'sweep' not in findings.members()
    for name, cure in (('shem', "did you mean 'shen'"), ('sweep', 'allowed'), ('os', 'allowed')):
        with pytest.raises(ValueError, match=cure):
            findings.load(name)


def test_a_path_that_is_none_is_told_with_where_it_was_looked_for(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f'nowhere.py: no such file in {tmp_path}/mine'):
        findings.load('mine/nowhere.py')


def test_findings_are_loaded_as_any_part_of_ones_own(tmp_path: pathlib.Path):
    """Once, and what lies beside them is not taken for another folder's of its name."""
    for folder, key in ((tmp_path / 'a', 'so'), (tmp_path / 'b', 'thus')):
        folder.mkdir()
        (folder / 'beside.py').write_text(f'KEY = {key!r}', encoding='utf-8')
        module = load(folder, 'import beside' + GOOD.replace("'so'", 'beside.KEY'))
        assert module.HEADLINE[0] == key
        assert module is own_part.of_file(str(folder / 'mine.py'), 'findings')


@pytest.mark.parametrize(
    ('old', 'new', 'line', 'cause'),
    [
        ("'Is it so?'", "'Is it so?", 7, 'SyntaxError'),
        ('final(', 'finel(', 8, 'finel'),
        ("final('test_accuracy')", "final('test_accuracy').x", 8, 'AttributeError'),
        (', low=0', '', 8, 'a bound'),
        ('import curves', 'import curvs', 3, 'curvs'),
        ("curves('test_accuracy')", "curves('test_accuracy', y=1)", 9, "'y'"),
        ("HEADLINE = ('so', 0)", 'raise SystemExit(3)', 10, 'SystemExit'),
    ],
)
def test_an_error_is_told_with_its_file_and_line(tmp_path: pathlib.Path, old: str, new: str, line: int, cause: str):
    message = told(tmp_path, GOOD.replace(old, new))
    assert message.startswith(f'findings: {tmp_path}/mine.py, line {line}: ')
    assert cause in message


@pytest.mark.parametrize(
    ('old', 'new', 'part'),
    [
        ('QUESTION = ', 'QUESTIONS = ', 'QUESTION'),
        ('CLAIMS = ', 'CLAIM = ', 'CLAIMS'),
        ('FIGURES = ', 'FIGURE = ', 'FIGURES'),
        ('HEADLINE = ', 'HEAD = ', 'HEADLINE'),
        ("'Is it so?'", "''", 'QUESTION'),
        ("(curves('test_accuracy'),)", "curves('test_accuracy')", 'FIGURES'),
        ("(curves('test_accuracy'),)", '()', 'FIGURES'),
        ('low=0),)', 'low=0))', 'CLAIMS'),
        ("('so', 0)", "('sp', 0)", "no claim 'sp'; allowed: so"),
        ("('so', 0)", "('so', 1)", 'there are 0 to 0'),
        ("('so', 0)", "'so'", 'HEADLINE'),
        ('HEADLINE =', 'CLAIMS *= 2\nHEADLINE =', 'twice'),
    ],
)
def test_a_part_that_is_missing_or_wrong_is_named(tmp_path: pathlib.Path, old: str, new: str, part: str):
    assert part in told(tmp_path, GOOD.replace(old, new))


# Names.

QUANTITY = planted.quantity(planted.table({'small': [0.0]}))


def module(*contrasts: Any, figure: figures.Figure | None = None) -> Any:
    claims = tuple(Statement(f'claim {i}', 's', 's', QUANTITY, one, low=0) for i, one in enumerate(contrasts))
    return SimpleNamespace(__file__='mine.py', CLAIMS=claims, FIGURES=(figure,) if figure else ())


ARMS, BRANCHES, AXES = ('small', 'large', 'scaled_4'), ('switch_small',), ('learning_rate',)


@pytest.mark.parametrize(
    ('made', 'meant'),
    [
        (module(minus('smal', 'large')), "no arm 'smal'; did you mean 'small'"),
        (module(alone('small'), alone('lagre')), "claim 'claim 1'.*did you mean 'large'"),
        (module(alone('large/swich_small@2')), "no branch 'swich_small'; did you mean 'switch_small'"),
        (module(alone('large/contro@2')), "did you mean 'control'"),
        (module(alone(at('small', lerning_rate=0.1))), "no axis 'lerning_rate'; did you mean 'learning_rate'"),
        (module(trend('batch_size', ('small', 'large', 'larg'))), "did you mean 'large'"),
        (module(figure=figures.curves('test_accuracy', cells=('smalll',))), "figure 0.*did you mean 'small'"),
    ],
)
def test_a_mistyped_name_is_told_with_the_nearest(made: Any, meant: str):
    with pytest.raises(ValueError, match=meant) as caught:
        names.check(made, names.Known(ARMS, BRANCHES, AXES))
    assert '\n' not in str(caught.value)


def test_what_a_part_of_a_study_has_not_got_is_noted():
    """Arms of the larger one; a number makes another name; nothing is noted of what is there."""
    claims = module(
        minus('small', 'adam'), alone('scaled_16'), alone('large/control@2'), alone('large/switch_small@30')
    )
    notes = names.check(claims, names.Known(ARMS, BRANCHES, AXES))
    assert [('adam' in note, 'scaled_16' in note) for note in notes] == [(True, False), (False, True)]
    assert names.check(module(alone(at(learning_rate=0.1))), names.Known((), (), AXES)) == []


# What is recorded.

OFF = {f'recording.{section}.every_epochs': 0.0 for section in recorded.SECTIONS if section}


def will_record(**fields: Any) -> names.Known:
    """A study whose runs are evaluated every epoch, and `fields` beside, dots written as two underscores."""
    row = OFF | {'recording.evaluate.every_epochs': 1.0, 'recording.evaluate.train': True, 'batch_size': 8}
    runs = pd.DataFrame([row | {name.replace('__', '.'): value for name, value in fields.items()}])
    there = names.Recorded(runs, fields=('workers',), columns=('mine',), probes=('walk',))
    return names.Known(ARMS, BRANCHES, AXES, there)


TEXT = GOOD.replace('import curves', 'import curves, versus').replace('import final', 'import final, level')


@pytest.mark.parametrize(
    ('old', 'new', 'cause'),
    [
        (
            "final('test_accuracy')",
            "final('tset_accuracy')",
            "line 8: claim 'so': no run records 'tset_accuracy'",
        ),
        (
            "curves('test_accuracy')",
            "curves('test_acuracy')",
            "line 9: figure 0: no run records 'test_acuracy'; did you",
        ),
        ("final('test_accuracy')", "final('zzz')", "no run records 'zzz'; allowed: generalization_gap"),
        ("final('test_accuracy')", "final('mime')", "no run records 'mime'; did you mean 'mine'?"),
        ("curves('test_accuracy')", "curves('test_accuracy', x='epoch')", 'line 9: figure 0: x of curves: no position'),
        (
            "curves('test_accuracy')",
            "curves('test_accuracy', by='batchsize')",
            "by: no field 'batchsize'; did you mean",
        ),
        ("curves('test_accuracy')", "versus(level('test_loss'), x='larning_rate')", "no field 'larning_rate'; did you"),
        (
            "minus('small', 'large')",
            "minus('smal', 'large')",
            "line 8: claim 'so': no arm 'smal'; did you mean 'small'?",
        ),
    ],
)
def test_what_nothing_records_is_told_with_file_and_line(tmp_path: pathlib.Path, old: str, new: str, cause: str):
    with pytest.raises(ValueError, match=re.escape(cause)) as caught:
        names.check(load(tmp_path, TEXT.replace(old, new)), will_record())
    assert str(caught.value).startswith('mine.py, line ')
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('metric', 'cure', 'on'),
    [
        ('distance', 'config.measure.distance.every_epochs=1', {'recording__measure__distance__at_epochs': (1.0,)}),
        ('noise_trace', 'config.measure.noise_scale.every_epochs=1',
         {'recording__measure__noise_scale__log_spaced': 3}),
        ('hessian_trace', 'config.measure.hessian_trace.every_epochs=1',
         {'recording__measure__hessian_trace__every_steps': 3}),
        ('distance/dense', 'config.measure.distance.every_epochs=1', {'recording__measure__distance__every_steps': 1}),
        ('gradient_norm', 'config.norms.every_epochs=1', {'recording__norms__log_spaced': 50}),
        ('validation_loss', 'config.data.validation=0.1', {'data__validation': 0.2}),
        ('ema_test_accuracy', 'config.ema.half_life_epochs=1', {'ema__half_life_examples': 100}),
        ('train_loss', 'config.evaluate.train=True', {}),
    ],
)  # fmt: skip
def test_what_is_not_switched_on_is_noted_with_the_setting(
    tmp_path: pathlib.Path, metric: str, cure: str, on: dict[str, Any]
):
    claims = load(tmp_path, TEXT.replace("final('test_accuracy')", f"final('{metric}')"))
    off = will_record(recording__evaluate__train=False)
    told = f"not measured: claim 'so' (mine.py, line 8): {metric} is not recorded; set {cure}"
    assert names.check(claims, off) == [told]
    assert names.check(claims, will_record(**on)) == []


def test_a_probe_that_is_not_made_and_an_axis_that_is_reduced_are_noted():
    quantity = of_probes.of_probe('interpolation', lambda arrays: 0.0, 'barrier')
    claims = module(alone('small', quantity=quantity), alone('small', quantity=fitted.exponent('batch_size', QUANTITY)))
    notes = names.check(claims, will_record())
    assert [note.partition(': no ')[2] for note in notes] == [
        'interpolation probe is made; set config.probe.name=interpolation', 'axis batch_size here',
    ]  # fmt: skip


def test_an_accuracy_is_none_where_there_are_no_classes(tmp_path: pathlib.Path):
    known = will_record()
    assert known.recorded is not None
    regression = known._replace(recorded=known.recorded._replace(classes=False))
    notes = names.check(load(tmp_path, TEXT), regression)
    assert ['no classes' in note for note in notes] == [True]


def test_a_special_figure_has_a_kind_and_options_that_are_there(tmp_path: pathlib.Path):
    kinds = (("'noise_scal'", "line 9: .*did you mean 'noise_scale'"), ("'sharpness', colour=1", 'has no option'))
    for number, (kind, cause) in enumerate(kinds):
        text = TEXT.replace('curves, versus', 'special').replace("curves('test_accuracy')", f'special({kind})')
        (folder := tmp_path / str(number)).mkdir()
        with pytest.raises(ValueError, match=cause):
            reading.check(load(folder, text), names.Known(ARMS), [], awaits_results=False)


def test_a_column_that_another_section_records_is_told_with_the_nearest_name(tmp_path: pathlib.Path):
    """In a report, too."""
    write_run(tmp_path, values={'test_accuracy': [0.5, 0.6]})
    with pytest.raises(ValueError, match=r"no run records 'test_acuracy'; did you mean 'test_accuracy'"):
        final('test_acuracy').of(studies.load(tmp_path, 'train'))
