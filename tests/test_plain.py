"""Other locales: text files are UTF-8 by name, and what an encoding lacks is printed plainly."""

import ast
import io
import pathlib
import subprocess
import sys
import unicodedata
from collections.abc import Iterator

import pytest
import toy

from bsresearch.core import plain
from bsresearch.launching import multihost
from bsresearch.launching.console import Console
from bsresearch.store import paths

SHIPPED = sorted([*toy.ROOT.glob('bsresearch/**/*.py'), *toy.ROOT.glob('scripts/*.py'), *toy.ROOT.glob('configs/*.py')])
HELPERS = sorted(p for p in toy.ROOT.glob('tests/*.py') if not p.stem.startswith('test_'))
CODE = [toy.ROOT / 'main.py', *SHIPPED, *HELPERS]
# Modules whose functions of these names open no text of ours.
OTHERS = ('os', 'tarfile', 'paths', 'Image', 'PIL.Image')
PROCESSES = ('run', 'Popen', 'check_output')


def in_the_locale(source: str) -> Iterator[int]:
    """The lines where text is read or written in whatever encoding the locale has."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or any(k.arg == 'encoding' for k in node.keywords):
            continue
        owner = ast.unparse(node.func).rpartition('.')[0]
        name = ast.unparse(node.func).rpartition('.')[2]
        words = [k.value.value for k in node.keywords if k.arg == 'mode' and isinstance(k.value, ast.Constant)]
        words += [a.value for a in node.args if isinstance(a, ast.Constant)]
        binary = any(isinstance(w, str) and len(w) < 4 and 'b' in w for w in words)
        text = any(k.arg in ('text', 'universal_newlines') for k in node.keywords)
        if owner == 'gzip':
            binary = binary or not any(isinstance(w, str) and 't' in w for w in words)
        file = name in ('open', 'fdopen') or (name in ('read_text', 'write_text') and owner)
        if (file and owner not in OTHERS and not binary) or (name in PROCESSES and text):
            yield node.lineno


def test_every_text_file_has_its_encoding_by_name():
    found = [f'{f.relative_to(toy.ROOT)}:{n}' for f in CODE for n in in_the_locale(f.read_text(encoding='utf-8'))]
    assert found == []


def test_the_search_finds_what_it_looks_for():
    bad = "open(f)\np.open('w')\np.read_text()\np.write_text(t)\ngzip.open(f, 'wt')\nsubprocess.run(c, text=True)\n"
    good = "open(f, 'rb')\np.open(mode='wb')\np.read_text(encoding='utf-8')\ngzip.open(f)\nos.open(f, 0)\nloop.run(c)\n"
    assert list(in_the_locale(bad)) == [1, 2, 3, 4, 5, 6]
    assert list(in_the_locale(good)) == []


def characters() -> set[str]:
    """All that the code may print beyond ASCII."""
    strings = [
        node.value
        for file in SHIPPED
        for node in ast.walk(ast.parse(file.read_text(encoding='utf-8')))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return {c for c in ''.join(strings) if not c.isascii()}


def test_every_character_of_ours_has_a_plain_one():
    """But for letters of names."""
    symbols = {c for c in characters() if not unicodedata.name(c).startswith(('LATIN', 'COMBINING'))}
    assert {c: plain.plain(c) for c in symbols if plain.plain(c).startswith('\\')} == {}
    assert all(plain.plain(c).isascii() for c in characters())
    assert [plain.plain(c) for c in '×→−…✓θΣ₀²ł'] == [
        'x',
        '->',
        '-',
        '...',
        'yes',
        'theta',
        'Sigma',
        '0',
        '^2',
        '\\u0142',
    ]


@pytest.mark.parametrize(
    ('encoding', 'expected'),
    [('latin-1', '2 × 3 -> é ½ ± inf'), ('ascii', '2 x 3 -> \\xe9 1/2 +- inf'), ('utf-8', '2 × 3 → é ½ ± ∞')],
)
def test_the_console_says_plainly_what_its_encoding_lacks(
    encoding: str, expected: str, monkeypatch: pytest.MonkeyPatch
):
    """Whoever prints: the console, its tables, print, and to both streams."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2)]
    monkeypatch.setattr(sys, 'stdout', streams[0])
    monkeypatch.setattr(sys, 'stderr', streams[1])
    plain.use()
    text = '2 × 3 → é ½ ± ∞'
    Console().say(text)
    Console().table([{'of it': text}], text)
    print(text)
    print(text, file=sys.stderr)
    said = []
    for stream in streams:
        stream.flush()
        said.append(stream.buffer.getvalue().decode(encoding))  # pyright: ignore[reportAttributeAccessIssue]
    assert said[0].splitlines()[0] == said[0].splitlines()[-1] == expected
    assert said[0].count(expected) == 4
    assert said[1] == f'{expected}\n'


@pytest.mark.parametrize('encoding', ['latin-1', 'ascii', 'utf-8'])
def test_columns_stand_below_each_other_in_every_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch):
    """Also where the plain characters are more, and no frame makes a table wider than its terminal."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, 'stdout', stream)
    plain.use()
    Console().table([{'loss': '1 ± 2 ≈ ∞', 'then': 'x'}, {'loss': '3', 'then': 'y'}], 'results')
    stream.flush()
    _, _, _, line, *rows = stream.buffer.getvalue().decode(encoding).splitlines()  # pyright: ignore[reportAttributeAccessIssue]
    assert set(line.strip()) == {'─' if encoding == 'utf-8' else '-'}
    assert rows[0].index('x') == rows[1].index('y')


@pytest.mark.slow
def test_a_benchmark_says_plainly_what_it_lacks(tmp_path: pathlib.Path):
    """Begun as a module: its package sees to the characters. Without its data set it ends in one line."""
    done = subprocess.run(
        [sys.executable, '-m', 'scripts.benchmark_schedules'], cwd=toy.ROOT, timeout=120, text=True,
        capture_output=True, env=toy.environment(PYTHONIOENCODING='ascii', BSRESEARCH_DATA=str(tmp_path)),
    )  # fmt: skip
    assert '; +- is (max - min)/median' in done.stdout
    assert (done.returncode, done.stderr.count('\n')) == (2, 1)
    assert done.stderr.startswith("benchmark_schedules: data set 'fashion_mnist' is not prepared in")


def test_a_command_in_the_c_locale_says_all_of_it_in_ascii(tmp_path: pathlib.Path):
    """Configs are found and planned, a member's file being read for its name; the schedule is written."""
    words = ['--config=quickstart', '--config.batch_size=16', '--config.total_steps=2', '--dry_run']
    done = subprocess.run(
        [sys.executable, 'main.py', *words, f'--schedule_csv={tmp_path}/s.csv'],
        cwd=toy.ROOT, timeout=120, capture_output=True,
        env=toy.environment(LC_ALL='C', PYTHONUTF8='0', PYTHONCOERCECLOCALE='0'),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b'')
    assert f'12 updates -> {tmp_path}/s.csv' in done.stdout.decode('ascii')


def test_a_workdir_that_the_locale_cannot_name_is_refused():
    """`é` as Python has it where the locale is ASCII: Orbax would end in a traceback, after the first update."""
    with pytest.raises(ValueError, match=r'its name cannot be read in this locale; set PYTHONUTF8=1'):
        multihost.agreed(lambda: paths.check_schema(pathlib.Path('/tmp/\udcc3\udca9')))
