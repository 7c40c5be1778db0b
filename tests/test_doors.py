"""What a user types: configs by name, one command with its parts, what it says where it cannot go on."""

import importlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import setuptools
from absl import flags

from bsresearch import __main__ as doors
from bsresearch.core import flag_help, interrupts, program
from bsresearch.core.field import Section
from bsresearch.core.flat import flatten
from bsresearch.launching import command, describe, flag_parser, listing
from bsresearch.launching.jobs import engines, launcher
from bsresearch.planning import schema, sweep
from bsresearch.planning.fields import FIELDS
from bsresearch.report.figures import drawing

ROOT = pathlib.Path(__file__).parent.parent


def test_a_config_has_a_name_in_any_directory(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """A file that lies here is meant only where it is given as a path; what follows a colon is the config's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'quickstart.py').write_text('')
    shipped = str(ROOT / 'configs' / 'quickstart.py')
    assert flag_parser.file_of_config('quickstart') == shipped
    assert flag_parser.file_of_config('quickstart:64') == f'{shipped}:64'
    for own in ('quickstart.py', './quickstart.py', f'{tmp_path}/quickstart.py'):
        assert flag_parser.file_of_config(own) == own
    assert set(flag_parser.names_of_configs()) == {file.stem for file in (ROOT / 'configs').glob('*.py')}


def test_an_unknown_config_names_the_known_and_the_nearest(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """Away from the checkout too, where a relative path of it leads nowhere."""
    monkeypatch.chdir(tmp_path)
    lists = f'It is one of {len(flag_parser.names_of_configs())}; `bsresearch configs` lists them'
    with pytest.raises(ValueError, match=f"^no config 'quikstart'; did you mean 'quickstart'\\? {lists}$"):
        flag_parser.file_of_config('quikstart')
    with pytest.raises(ValueError, match=r"^no config file 'configs/shem\.py' here; .*did you mean 'shen'"):
        flag_parser.file_of_config('configs/shem.py')
    (tmp_path / 'own.py').write_text('')
    with pytest.raises(ValueError, match=rf'did you mean --config={tmp_path}/own\.py\?$'):
        flag_parser.file_of_config(f'{tmp_path}/owns.py')
    with pytest.raises(ValueError, match=r"^no config 'own'; the file here is --config=\./own\.py; allowed: "):
        flag_parser.file_of_config('own')


# --- bsresearch fields


def test_every_field_has_a_meaning():
    """A contract over all fields of the schema, and over those of every part of every section."""
    for name, found in FIELDS.items():
        assert found.meaning, name
        shared = dict(found.fields) if isinstance(found, Section) else {}
        for path, said in (shared | {f'<{p}>.{k}': f for p, fn in describe.members(name).items()
                                     for k, f in describe.own_fields(name, fn).items()}).items():  # fmt: skip
            assert said.meaning, f'{name}.{path}'


def test_fields_say_default_unit_and_meaning():
    """Of all fields, of a section with its parts, of a part by its signature and docstring, of one field."""
    everything = describe.text()
    for name in flatten(schema.known()):
        if not name.startswith(('measure.', 'sweep.')):
            assert re.search(rf'^  {re.escape(name)} ', everything, re.MULTILINE), name
    assert re.search(r'^  batch_size +32 +examples +per update, over all devices$', everything, re.MULTILINE)
    section = describe.text('schedule')
    assert re.search(r'^  one_cycle +OneCycleLR of torch', section, re.MULTILINE)
    part = describe.text('schedule.one_cycle')
    assert re.search(r'^  schedule.final_div_factor +10000.0 +initial/min$', part, re.MULTILINE)
    assert re.search(
        r'^  schedule.max_momentum +0.95 +at the peak and at the ends; not used without', part, re.MULTILINE
    )
    both = describe.text('config.batch_schedule.growth')
    assert re.search(r'^  batch_schedule.max_fraction +1.0 +as a fraction of the training set', both, re.MULTILINE)
    assert re.search(r'^  batch_schedule.as_learning_rate +False ', both, re.MULTILINE)
    measure = describe.text('measure.sharpness')
    assert re.search(r'^  measure.sharpness.micro_batch_size +1024 +of them at a time$', measure, re.MULTILINE)
    assert re.search(r'^  measure.sharpness.every_epochs +0.0 +epochs ', measure, re.MULTILINE)
    assert 'of mlp: units of the hidden layers' in describe.text('model.widths')


def test_fields_are_folded_in_a_terminal(monkeypatch: pytest.MonkeyPatch):
    """At 60 columns no line is longer, and no word is lost."""
    wide = describe.text('warmup')
    monkeypatch.setattr('sys.stdout.isatty', lambda: True)
    monkeypatch.setattr(shutil, 'get_terminal_size', lambda: os.terminal_size((80, 24)))
    narrow = describe.text('warmup')
    assert max(map(len, narrow.splitlines())) <= 80 < max(map(len, wide.splitlines()))
    assert narrow.split() == wide.split()


@pytest.mark.parametrize(
    ('asked', 'told'),
    [
        ('lerning_rate', "did you mean 'learning_rate'"),
        ('schedule.one_cicle', "did you mean 'one_cycle'.*`bsresearch fields schedule` tells of each"),
    ],
)
def test_what_is_no_field_names_the_nearest(asked: str, told: str):
    with pytest.raises(ValueError, match=f'^unknown config field {asked}; {told}'):
        describe.text(asked)


@pytest.mark.parametrize(
    ('declared', 'command'),
    [
        ({'batchsize': 3}, 'bsresearch fields'),
        ({'evaluate': {'batchsize': 3}}, 'bsresearch fields evaluate'),
        ({'model': {'name': 'mlp', 'width': 3}}, 'bsresearch fields model.mlp'),
        ({'measure': {'sharpness': {'epsilom': 1.0}}}, 'bsresearch fields measure.sharpness'),
    ],
)
def test_an_unknown_field_points_to_the_fields(declared: dict[str, Any], command: str):
    """Wherever it is noticed: its error names the command that lists what there is, and that command lists it."""
    known = schema.defaults().to_dict()
    given = {k: {**known.get(k, {}), **v} if isinstance(v, dict) else v for k, v in declared.items()}
    with pytest.raises(ValueError, match=rf'`{re.escape(command)}` tells of each$'):
        sweep.expand(known | {'total_steps': 1} | given)
    assert describe.text(command.removeprefix('bsresearch fields').strip())


def test_a_config_is_told_with_its_words_and_the_number_of_its_runs(tmp_path: pathlib.Path):
    """Golden: the number of runs is that of the planned grids (tests/config_ids.json), without their data."""
    golden = json.loads((ROOT / 'tests' / 'config_ids.json').read_text())
    for name in flag_parser.names_of_configs():
        lines = listing.text(name).splitlines()
        assert re.match(rf'{golden[name]["runs"]:,} runs?(;|$)', lines[-1]), name
        assert lines[2] in listing.text(), name
    told = listing.text('shen')
    for line in ('axis seed: 0, 1, 2', 'arm higher_rate: batch_size=1024, learning_rate=0.1'):
        assert f'\n{line}\n' in told
    assert told.endswith('branches of them: control, switch_small, switch_rate; probes of them: gradient_norm')
    (tmp_path / 'own.py').write_text(
        '"""Mine."""\nfrom bsresearch import schema\n\n\ndef get_config():\n    c = schema.defaults()\n'
        '    c.sweep.zip.batch_size = (8, 16)\n    c.sweep.zip.learning_rate = (0.1, 0.2)\n    return c\n'
    )
    mine = listing.text(f'{tmp_path}/own.py').splitlines()
    assert (mine[2], mine[-1]) == ('Mine.', '2 runs')


# --- the command


def bare(*words: str, cwd: pathlib.Path = ROOT) -> subprocess.CompletedProcess[str]:
    """A Python without the environment's packages: what any machine has."""
    return subprocess.run([sys.executable, '-S', *words], cwd=cwd, capture_output=True, text=True, timeout=60)


def test_help_and_a_mistyped_command_need_no_package():
    """Answered by the standard library alone, so in no time; the nearest name is told."""
    helped = bare('-m', 'bsresearch', '--help')
    assert helped.returncode == 0, helped.stderr
    told = [line.split()[0] for line in helped.stdout.splitlines() if re.match(r'  \w', line)]
    assert told == ['run', 'launch', 'status', 'branch', 'report', 'fig', 'export', 'advise', 'prepare', 'configs',
                    'fields']  # fmt: skip
    wrong = bare('-m', 'bsresearch', 'lanch')
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("bsresearch: unknown command 'lanch'; did you mean 'launch'? Allowed: advise, ")
    figure = bare('-m', 'bsresearch', 'fig', 'noisescale')
    assert figure.returncode == 2
    assert figure.stderr.startswith("bsresearch fig: unknown figure 'noisescale'; did you mean 'noise_scale'?")
    listed = bare('-m', 'bsresearch', 'fig').stdout.splitlines()
    names = [line.split()[0] for line in listed if re.match(r'  \w', line)]
    assert names == sorted({*drawing.special(), *(f.stem[4:] for f in (ROOT / 'scripts').glob('fig_*.py'))})


@pytest.mark.parametrize(
    'words',
    [('main.py', '--config=quickstart'), ('-m', 'bsresearch', 'run'), ('-m', 'scripts.launch'),
     ('-m', 'scripts.fig_schedule'), ('-m', 'bsresearch', 'report')],
    ids=' '.join,
)  # fmt: skip
def test_without_the_environment_one_line_says_so(words: tuple[str, ...]):
    done = bare(*words)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, '', 1), done.stderr
    for part in (sys.executable, 'has no absl', f'. {ROOT}/.venv/bin/activate', '`make quickstart`'):
        assert part in done.stderr


def test_a_reader_that_has_enough_is_no_error():
    """`bsresearch fig | head -1`: no traceback, the exit code that shells have for it."""
    code = 'import os, sys; sys.stdout.flush(); r, w = os.pipe(); os.dup2(w, 1); os.close(w); os.close(r); '
    code += 'sys.argv = ["bsresearch", "fig"]; from bsresearch.__main__ import main; main()'
    done = bare('-c', code)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, '')


@pytest.mark.parametrize(
    ('where', 'code', 'told'), [('>&-', 0, ''), ('>/dev/full', 2, 'bsresearch: [Errno 28] No space left on device\n')]
)
def test_an_output_that_takes_nothing_is_no_traceback(where: str, code: int, told: str):
    """Closed, or on a full disk."""
    line = f'"{sys.executable}" -m bsresearch --help {where}'
    done = subprocess.run(line, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, told)


# Commands whose flags are the fields of a NamedTuple; the others read records, or print.
ASKING = ('run', 'launch', 'status', 'branch', 'prepare', 'worker')


def test_every_command_is_a_door_that_is_there():
    """A file of scripts/ with `enter`; what it stands for is a flag of that door."""
    for name, entry in {**doors.COMMANDS, 'worker': doors.WORKER}.items():
        if name == 'fig':
            continue
        text = (ROOT / 'scripts' / f'{entry.script}.py').read_text(encoding='utf-8')
        assert '\ndef enter(name: str)' in text, name
        assert name not in ASKING or hasattr(importlib.import_module(f'scripts.{entry.script}'), 'REQUEST'), name
        if entry.given:
            assert entry.given[2:] in importlib.import_module(f'scripts.{entry.script}').REQUEST._fields
    for name, file in doors.figures().items():
        text = file.read_text(encoding='utf-8')
        script = file.parent.name == 'scripts'
        assert ('\ndef define_flags(' if script else '\ndef draw(study: Study, figure: Figure) -> Sheet:') in text, name
        assert not script or '\ndef main() -> None:' in text, name


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[str, list[str]]]]:
    """`bsresearch …` in this process: the name that its door was entered by, and the command line it reads."""

    def call(*arguments: str) -> tuple[str, list[str]]:
        entered: list[str] = []
        monkeypatch.setattr(interrupts, 'install', lambda: None)
        monkeypatch.setattr(sys.modules['__main__'], '__doc__', '')
        monkeypatch.setattr(doors.importlib, 'import_module', lambda name: entering(name, entered))
        monkeypatch.setattr(sys, 'argv', ['bsresearch', *arguments])
        doors.main()
        return entered[0], sys.argv

    def entering(name: str, entered: list[str]) -> Any:
        return SimpleNamespace(__doc__=name, enter=lambda program: entered.append(f'{name} as {program}'))

    yield call
    program.called('bsresearch')


@pytest.mark.parametrize(
    ('words', 'door', 'read'),
    [
        ('run --config=shen', 'scripts.run as bsresearch run', '--config=shen'),
        ('status --workdir=w', 'scripts.launch as bsresearch status', '--status --workdir=w'),
        ('branch a/b@epoch:2 --workdir=w', 'scripts.run as bsresearch branch', '--branch_from=a/b@epoch:2 --workdir=w'),
        ('branch --branch_from=c@step:2', 'scripts.run as bsresearch branch', '--branch_from=c@step:2'),
        ('worker --job=s/i', 'scripts.worker as bsresearch worker', '--job=s/i'),
        ('export --out=a.csv', 'scripts.export_records as bsresearch export', '--out=a.csv'),
    ],
)  # fmt: skip
def test_a_command_is_its_door_under_its_name(called: Callable[..., Any], words: str, door: str, read: str):
    assert called(*words.split()) == (door, [door.rpartition(' as ')[2], *read.split()])


def test_a_branch_needs_a_run(called: Callable[..., Any], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as left:
        called('branch', '--workdir=w')
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith('bsresearch branch: which run? bsresearch branch <directory of a run>@')


def test_the_help_of_a_door_has_its_words_and_its_own_flags(capsys: pytest.CaptureFixture[str]):
    """Defaults beside them; of libraries' flags none; exit code 0."""
    values = flags.FlagValues()
    flags.DEFINE_string('workdir', None, 'Where runs are.', flag_values=values)
    flags.DEFINE_integer('rounds', 5, 'How often.', flag_values=values)
    flags.DEFINE_string('config.seed', None, '', flag_values=values)
    for wanted in ('--help', '-h'):
        with pytest.raises(SystemExit) as left:
            flag_help.show(['door', wanted], values)
        assert left.value.code == 0
        text = capsys.readouterr().out
        assert text.endswith('Flags:\n  --rounds=5\n      How often.\n  --workdir\n      Where runs are.\n')
    flag_help.show(['door', '--rounds=3'], values)
    assert {flag.name for flag in flag_help.own(flags.FLAGS)} & {'verbosity', 'pdb', 'log_dir'} == set()


def test_a_job_is_a_command_of_the_package(tmp_path: pathlib.Path):
    """Not of a checkout: an engine starts it in any directory where the package is installed."""
    grid = launcher.Launcher(tmp_path, engines.chosen('local', None, {}), print)
    job = cast(Any, SimpleNamespace(name='train/0123'))
    assert grid.command(job).command[:5] == (sys.executable, '-m', 'bsresearch', 'worker', '--job=train/0123')


def test_make_help_lists_every_target():
    """With a line each."""
    done = subprocess.run(['make', '-s', 'help'], cwd=ROOT, capture_output=True, text=True, check=True)
    rules = re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text(encoding='utf-8'), re.MULTILINE)
    rules.remove('interpreter')  # what others check first
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines] == rules
    assert all(len(line.split()) > 2 for line in lines)


@pytest.mark.skipif(not hasattr(setuptools, '__version__') or int(setuptools.__version__.split('.')[0]) < 77,
                    reason='an environment of before requirements-build.txt')  # fmt: skip
def test_a_wheel_holds_the_package_its_configs_and_scripts(tmp_path: pathlib.Path):
    """Also one made of the source distribution; and the command."""
    copied = ('bsresearch', 'configs', 'scripts', 'tests')
    for folder in copied:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns('__pycache__', 'workdirs'))
    for file in ('pyproject.toml', 'setup.py', 'MANIFEST.in', 'README.md', 'LICENSE', 'main.py'):
        shutil.copy(ROOT / file, tmp_path)
    build = 'from setuptools import build_meta as b; import sys; print(getattr(b, f"build_{sys.argv[1]}")("."))'
    make = lambda what, where: subprocess.run(
        [sys.executable, '-c', build, what], cwd=where, capture_output=True, text=True, check=True
    ).stdout.split()[-1]
    source = tmp_path / make('sdist', tmp_path)
    with tarfile.open(source) as file:
        file.extractall(tmp_path / 'unpacked', filter='data')
    (root,) = (tmp_path / 'unpacked').iterdir()
    held = set(zipfile.ZipFile(root / make('wheel', root)).namelist())
    own = {p.relative_to(ROOT).as_posix() for p in (ROOT / 'bsresearch').rglob('*.py')}
    beside = {f'bsresearch/{p.relative_to(ROOT)}' for d in ('configs', 'scripts') for p in (ROOT / d).glob('*.py')}
    assert own | beside | {'bsresearch/py.typed'} <= held
    (entry,) = (name for name in held if name.endswith('entry_points.txt'))
    with zipfile.ZipFile(next(root.glob('*.whl'))) as wheel:
        assert 'bsresearch = bsresearch.__main__:main' in wheel.read(entry).decode()
    assert (root / 'main.py').is_file()


@pytest.mark.parametrize(
    ('given', 'told'),
    [
        ('--draw=maybe', 'flag --draw=maybe: true or false is needed'),
        ('--rounds=many', 'flag --rounds=many: a whole number is needed'),
        ('--round=3', "unknown flag --round; did you mean 'rounds'? Allowed: draw, rounds"),
        ('--flagfile=none', "Unable to open flagfile: [Errno 2] No such file or directory: 'none'"),
    ],
)
def test_a_bad_flag_is_one_line_in_plain_words(given: str, told: str, capsys: pytest.CaptureFixture[str]):
    """Of whichever door."""
    values = flags.FlagValues()
    flags.DEFINE_bool('draw', True, 'Draw.', flag_values=values)
    flags.DEFINE_integer('rounds', 5, 'How often.', flag_values=values)
    program.called('bsresearch fig')
    with pytest.raises(SystemExit) as e:
        flag_help.parsed(['door', given], values)
    assert (e.value.code, capsys.readouterr().err) == (program.USAGE, f'bsresearch fig: {told}\n')


def test_a_flagfile_that_is_not_there_is_one_line_where_configs_are_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """ml_collections reads it before any flag is parsed."""
    monkeypatch.setattr(sys, 'argv', ['door', '--flagfile=none'])
    with pytest.raises(SystemExit):
        flag_parser.define_config(flags.FlagValues())
    assert capsys.readouterr().err.endswith("Unable to open flagfile: [Errno 2] No such file or directory: 'none'\n")


def test_an_empty_workdir_is_none(capsys: pytest.CaptureFixture[str]):
    """A variable that is not set must not fill the directory that the command is given in."""
    assert command.run(cast(Any, SimpleNamespace(value={})), command.Request(workdir='')) == program.USAGE
    assert '--workdir=<directory> is needed' in capsys.readouterr().err
    assert command.run(cast(Any, SimpleNamespace(value={})), command.Request(workdir='', lineage=True)) == program.USAGE
