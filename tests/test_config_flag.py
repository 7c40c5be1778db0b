"""Config files of users: one line with file, line and cause; helpers beside them; whole floats."""

import pathlib
import re
import sys
from typing import Any

import pytest
import toy

from bsresearch.launching import command, flag_parser
from bsresearch.planning import schema, sweep

HEAD = 'from bsresearch import schema\n\n\ndef get_config():\n    c = schema.defaults()\n'


def parsed(*arguments: str) -> Any:
    """The flag --config of a command line."""
    return toy.typed(command.Request, *arguments)[0]


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a command line ends in, without the program's name."""
    with pytest.raises(SystemExit) as e:
        parsed(*arguments)
    out, err = capsys.readouterr()
    assert (e.value.code, out, err.count('\n')) == (2, '', 1), err
    return err.removeprefix('main.py: ').removesuffix('\n')


FAULTS = {
    'syntax': ('x = (1,\ny = 2\n', "line 1: SyntaxError: '(' was never closed"),
    'tab': ('def get_config():\n    a = 1\n\tb = 2\n', 'line 3: TabError: inconsistent use of tabs and spaces'),
    'indentation': ('def get_config():\nreturn 1\n', 'line 2: IndentationError: expected an indented block'),
    'import': ('import no_such_module\n', "line 1: ModuleNotFoundError: No module named 'no_such_module'"),
    'name of ours': ('from bsresearch import shema\n', "line 1: ImportError: cannot import name 'shema'"),
    'assertion': (f'{HEAD}    assert c.seed == 1, "seed"\n', 'line 6: AssertionError: seed'),
    'assertion without words': (f'{HEAD}    assert c.seed == 1\n', 'line 6: AssertionError: assert c.seed == 1'),
    'arithmetic': (f'{HEAD}    c.batch_size = 1 // 0\n', 'line 6: ZeroDivisionError: '),
    'key': (f'{HEAD}    c.learning_rate = {{}}["lr"]\n', "line 6: KeyError: 'lr'"),
    'misread field': (f'{HEAD}    c.seed = c.batchsize\n', 'line 6: AttributeError: '),
    'wrong kind': (f'{HEAD}    c.batch_size = "x"\n', "line 6: TypeError: Could not override field 'batch_size'"),
    'all arms at once': (
        f'{HEAD}    c.arms = dict(a=dict(seed=1))\n',
        'line 6: ValueError: arms are named one by one, c.arms.<name> = ',
    ),
    'in a library': (f'{HEAD}    import json\n    json.loads("{{")\n', 'line 7: JSONDecodeError: Expecting property'),
    'a value': (f'{HEAD}    raise ValueError("two\\nlines")\n', 'line 6: ValueError: two lines'),
    'with a note': (
        f'{HEAD}    e = ValueError("cause")\n    e.add_note("note")\n    raise e\n',
        'line 8: ValueError: cause',
    ),
    'of an expression': (f'{HEAD}    eval("1 +")\n', 'line 6: SyntaxError: invalid syntax'),
    'no name': (f'{HEAD}    c.seed = sed\n', "line 6: NameError: name 'sed' is not defined"),
    'of the system': (f'{HEAD}    open("/no/such/file")\n', 'line 6: FileNotFoundError: [Errno 2] No such file'),
    'argument': ('def get_config(kind):\n    return kind\n', 'line 1: TypeError: get_config() missing 1 required'),
    'exit': (f'{HEAD}    raise SystemExit(3)\n', 'line 6: SystemExit: 3'),
    'dict': (f'{HEAD}    return c.to_dict()\n', 'line 4: get_config() returned a dict, no ConfigDict; begin it with'),
    'no return': (HEAD, 'line 4: get_config() returned nothing: a `return` is missing'),
    'no defaults': (
        'from ml_collections import ConfigDict\ndef get_config():\n    return ConfigDict({"seed": 1})\n',
        'line 2: get_config() returned a config without',
    ),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_a_fault_of_a_config_file_is_its_line_and_cause(
    fault: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
):
    source, message = FAULTS[fault]
    file = tmp_path / 'mine.py'
    file.write_text(source, 'utf-8')
    assert refusal(capsys, f'--config={file}', '--config.seed=1').startswith(f'{file}, {message}')


def test_a_file_without_get_config_is_told_what_it_lacks(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / 'mine.py').write_text('x = 1\n', 'utf-8')
    (tmp_path / 'binary.py').write_bytes(b'x = "\xff"\n')
    assert 'it defines no function get_config(); begin it with c = schema.defaults()' in refusal(
        capsys, f'--config={tmp_path}/mine.py'
    )
    assert refusal(capsys, f'--config={tmp_path}/binary.py').startswith(f'{tmp_path}/binary.py')


def test_modules_beside_a_config_are_found(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Imported at the top or by get_config, from wherever the command is given; their faults are theirs."""
    folder = tmp_path / 'questions'
    folder.mkdir()
    (folder / 'rates_beside.py').write_text('RATE = 0.5\ndef half(x):\n    return x / 2\n', 'utf-8')
    inside = '    from rates_beside import half\n    c.learning_rate = half(rates_beside.RATE)\n    return c\n'
    body = f'import rates_beside\n{HEAD}{inside}'
    (folder / 'mine.py').write_text(body, 'utf-8')
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    config, overrides = flag_parser.declared(parsed('--config=questions/mine.py', '--config.seed=3'))
    assert (config['learning_rate'], config['seed'], overrides) == (0.25, 0, {'seed': 3})
    assert sys.path == before
    (folder / 'broken_beside.py').write_text('import json\n\nRATE = json.loads("")\n', 'utf-8')
    (folder / 'other.py').write_text('import broken_beside\n', 'utf-8')
    told = refusal(capsys, '--config=questions/other.py')
    assert told.startswith(f'{folder}/broken_beside.py, line 3: JSONDecodeError: Expecting value')


@pytest.mark.parametrize(
    ('override', 'cause'),
    [
        ('arms.items.seed=3', "config.arms.items.seed: no arm can be called 'items', .*; it has small"),
        ('branch.arms.get.seed=3', "no arm can be called 'get', .*; it has none: c.branch.arms.<name> = dict"),
        ('measure.keys.every_epochs=1', "no field can be called 'keys', "),
        ('arms.big.seed=3', "the config has no arm 'big'; it has small"),
    ],
)
def test_an_override_of_what_cannot_be_there_is_one_line(
    override: str, cause: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / 'mine.py'
    file.write_text(f'{HEAD}    c.arms.small = dict(batch_size=4)\n    return c\n', 'utf-8')
    assert re.search(cause, refusal(capsys, f'--config={file}', f'--config.{override}'))


def test_findings_that_lie_beside_the_config_are_found(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """From the command line too; those that lie where the command is given keep the name they have in study.json."""
    folder = tmp_path / 'mine'
    folder.mkdir()
    (folder / 'mine.py').write_text(f"{HEAD}    c.findings = 'found.py'\n    return c\n", 'utf-8')
    for name in ('found.py', 'other.py'):
        (folder / name).touch()
    monkeypatch.chdir(tmp_path)
    config, overrides = flag_parser.declared(parsed('--config=mine/mine.py', '--config.findings=other.py'))
    assert (config['findings'], overrides['findings']) == (f'{folder}/found.py', f'{folder}/other.py')
    for name in ('mine/found.py', 'nowhere.py', 'shen'):
        assert flag_parser.declared(parsed('--config=mine/mine.py', f'--config.findings={name}'))[1] == {
            'findings': name
        }


@pytest.mark.parametrize(
    ('line', 'told'),
    [
        ('c.sweep.batch_size = (b for b in (4, 8))', 'config.sweep.batch_size holds <generator'),
        ('c.model.widths = open', 'config.model.widths holds <built-in function open> of type'),
        ('c.sweep.seed = tuple(np.arange(2))', 'config.sweep.seed holds np.int64(0) of type int64; allowed: plain'),
        ('c.sweep.learning_rate = (0.1, np.inf)', 'config.sweep.learning_rate=inf: numbers must be finite'),
        ('c.sweep.learning_rate = (0.1, np.nan)', 'config.sweep.learning_rate=nan: numbers must be finite'),
        ('c.sweep.model.widths = ((4,), (np.float32(4),))', 'config.sweep.model.widths holds np.float32(4.0) of type'),
    ],
)
def test_values_that_no_description_can_hold_are_refused_by_field(line: str, told: str, tmp_path: pathlib.Path):
    """None of them is a traceback of what copies or writes the config."""
    file = tmp_path / 'mine.py'
    file.write_text(f'import numpy as np\n{HEAD}    {line}\n    return c\n', 'utf-8')
    declared = flag_parser.declared(parsed(f'--config={file}'))
    with pytest.raises(ValueError, match=re.escape(told)):
        sweep.expand(*declared)


def test_an_axis_that_is_not_finite_is_refused_from_the_command_line():
    declared = flag_parser.declared(parsed(f'--config={schema.__file__}', '--config.sweep.learning_rate=(1e999, 1.0)'))
    with pytest.raises(ValueError, match=r'config\.sweep\.learning_rate=inf: numbers must be finite'):
        sweep.expand(*declared)


def test_an_argument_goes_to_get_config(tmp_path: pathlib.Path):
    source = HEAD.replace('get_config()', 'get_config(kind)') + '    c.model.name = kind\n    return c\n'
    (tmp_path / 'mine.py').write_text(source, 'utf-8')
    config, _ = flag_parser.declared(parsed(f'--config={tmp_path}/mine.py:cnn'))
    assert config['model']['name'] == 'cnn'


def test_whole_floats_are_taken_where_whole_numbers_are_needed():
    """Of fields, of tuples, of axes, of the fields of parts and of measurements; floats stay floats."""
    given = {
        'batch_size': '1e3', 'total_examples': '6e4', 'learning_rate': '1e0', 'init_seed': '2.0',
        'model.widths': '(1e1, 20)', 'data.split_seed': '1e1', 'branch.multiples': '(2.0, 4)',
        'measure.alpha.batch_size': '1e2', 'sweep.seed': '(0, 1e1)', 'sweep.learning_rate': '(1.0, 2.0)',
        'sweep.zip.workers': '(1.0, 2)',
    }  # fmt: skip
    flag = parsed(f'--config={schema.__file__}', *(f'--config.{name}={value}' for name, value in given.items()))
    _, overrides = flag_parser.declared(flag)
    expected = {
        'batch_size': 1000, 'total_examples': 60000, 'learning_rate': 1.0, 'init_seed': 2, 'model.widths': (10, 20),
        'data.split_seed': 10, 'branch.multiples': (2, 4), 'measure.alpha.batch_size': 100, 'sweep.seed': (0, 10),
        'sweep.learning_rate': (1.0, 2.0), 'sweep.zip.workers': (1, 2),
    }  # fmt: skip
    assert {name: repr(value) for name, value in overrides.items()} == {k: repr(v) for k, v in expected.items()}


@pytest.mark.parametrize(
    ('words', 'values'),
    [
        ('bias,norm', ('bias', 'norm')),
        ('bias,', ('bias',)),
        ('bias', ('bias',)),
        ("('bias', 'norm')", ('bias', 'norm')),
        ("'bias,norm'", ('bias,norm',)),
        ('()', ()),
    ],
)
def test_words_of_a_tuple_need_no_quotes(words: str, values: tuple[str, ...]):
    flag = parsed(f'--config={schema.__file__}', f'--config.no_decay={words}')
    assert flag_parser.declared(flag)[1] == {'no_decay': values}


def test_a_run_of_1e3_is_that_of_1000():
    ids = []
    for batch_size in ('1e3', '1000'):
        given = parsed(f'--config={schema.__file__}', f'--config.batch_size={batch_size}', '--config.total_epochs=1')
        ids += [plan.id for plan in sweep.expand(*flag_parser.declared(given))]
    assert ids[0] == ids[1]


def test_a_mistyped_config_is_told_what_there_is_from_any_directory(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    for given in ('quikstart', 'configs/quikstart.py'):
        told = refusal(capsys, f'--config={given}')
        assert f'no config {"file " if "/" in given else ""}{given!r}' in told
        assert "did you mean 'quickstart'? It is one of " in told


def test_a_config_is_known_by_name_in_a_flagfile_too(tmp_path: pathlib.Path):
    (tmp_path / 'flags').write_text('--config=quickstart\n--config.seed=3\n', 'utf-8')
    config, overrides = flag_parser.declared(parsed(f'--flagfile={tmp_path}/flags'))
    assert (config['model']['widths'], overrides) == ((256, 256), {'seed': 3})


def test_a_measurement_of_ones_own_begins_on_the_command_line(capsys: pytest.CaptureFixture[str]):
    """Its fields beside its function, in any order; without that the line says how it is given."""
    own = f'{toy.ROOT}/tests/users_parts.py:largest_weight'
    words = (
        '--config.measure.top.power=3',
        f'--config.measure.top.function={own}',
        '--config.measure.top.at_steps=1,2',
    )
    given = parsed('--config=quickstart', *words, '--config.sweep.seed=0,', '--config.batch_size=64')
    plans = sweep.expand(*flag_parser.declared(given))
    assert len(plans) == 2
    assert {plan.recording['measure']['top']['power'] for plan in plans} == {3.0}
    assert plans[0].events.measure['top'] == {1, 2, 690}
    told = refusal(capsys, '--config=quickstart', '--config.measure.top.every_epochs=1')
    assert told.startswith("unknown measurement 'top'; ")
    assert 'your own begins with --config.measure.top.function=package.module:function' in told
    told = refusal(capsys, '--config=quickstart', '--config.measure.distnce.every_epochs=1')
    assert "did you mean 'distance'?" in told
