"""The report: what it says of records made by hand, in both formats, complete, escaped, and equal for equal records."""

import html
import json
import pathlib
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from fake_records import entry, member, write_run
from html_page import Page
from PIL import Image
from workdirs_of_old import unpack

from bsresearch.analysis import study as studies
from bsresearch.analysis.figures import curves
from bsresearch.report import inventory, markdown, page, pictures, plotting, provenance, questions, report, sections
from bsresearch.report.figures import drawing, noise_scale
from bsresearch.report.figures.drawing import Drawn
from bsresearch.store import kept, paths, records, study_file

ROOT = pathlib.Path(__file__).parents[1]
VALUES = {'test_accuracy': [0.1, 0.7, 0.8], 'test_loss': [2.0, 0.9, 0.5]}
SECONDS = {'updates': 6.0, 'evaluate': 1.0, 'measure': 1.0, 'checkpoint': 0.5, 'compile': 1.0, 'calibrate': 0.25,
           'overhead': 0.25, 'wall': 10.0}  # fmt: skip
NASTY = '<b>&"\' | `x` *y* _z_'


def note(directory: pathlib.Path, **facts: Any) -> None:
    """Adds facts to a run's meta.json."""
    file = directory / 'meta.json'
    paths.write_json(file, paths.read_json(file) | facts)


def write_probe(workdir: pathlib.Path, run: str, **facts: Any) -> None:
    """A finished probe of a kind that nothing draws."""
    directory = workdir / 'train' / 'aaaabbbbcccc'
    point = {'run': run, 'study': 'train', 'step': 16, 'epoch': 4.0, 'examples': 256}
    (directory / 'arrays').mkdir(parents=True, exist_ok=True)
    paths.write_npz(directory / 'arrays' / 'a.npz', {'x': np.ones(2)})
    paths.write_json(directory / 'probe.json', {'probe': {'name': 'other'}, 'points': [point], 'learning_rate': 0.1})
    own = {'id': directory.name, 'status': 'done', 'seconds': 2.0, 'arrays': 'arrays/a.npz'}
    paths.write_json(directory / 'meta.json', own | facts)


@pytest.fixture
def grid(tmp_path: pathlib.Path) -> pathlib.Path:
    """B = 16 with two seeds, B = 32 with one that diverged; one group of two runs, one of one; a probe."""
    workdir = tmp_path / 'grid'
    for seed in (0, 1):
        values = {k: [v + 0.01 * seed for v in vs] for k, vs in VALUES.items()}
        directory = write_run(workdir, seed=seed, values=values)
        note(directory, group='one', seconds=SECONDS, device='cpu', versions={'jax': '0.10.2'}, commit='abc123',
             started=1.7e9, ended=1.7e9 + 60)  # fmt: skip
    gone = write_run(workdir, batch_size=32, status='diverged', diverged_step=3, values={'test_accuracy': [0.1]})
    note(gone, group='two', seconds=dict.fromkeys(SECONDS, 0.0) | {'wall': 2.0, 'updates': 2.0}, device='gpu')
    write_probe(workdir, 'b16-lr0.1-s0')
    return workdir


def both(workdir: pathlib.Path, out: pathlib.Path, **options: Any) -> tuple[str, str]:
    """The texts of report.html and report.md."""
    page, text = report.write(workdir, out, **options)
    return page.read_text(), text.read_text()


# --- what it says


def test_summary_counts_by_hand(grid: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """2 epochs of 64 examples at B = 16 are 8 updates, of two runs; the diverged one ends at update 3 of B = 32."""
    page, text = both(grid, tmp_path / 'out', drawing=False)
    said = Page(page).text
    for part in ('3 runs of study train (1 diverged, 2 done), mlp on digits: B 16, 32; learning rate 0.1; seed 0, 1.',
                 'Diverged: b32-lr0.1-s0 at update 3 (batch size 32, seed 0).',
                 'They made 19 updates over 352 examples.', 'Probes of trained runs: 1 other.',
                 'Made 2023-11-14 22:13 to 22:14 UTC.'):  # fmt: skip
        assert part in said
        assert markdown.escape(part) in text


def test_arms_are_means_over_finished_seeds(grid: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Of two both values."""
    text = both(grid, tmp_path / 'out', drawing=False)[1]
    assert '| B = 16 | 2 of 2 | 0.1 | 80.00 and 81.00 |' in text
    assert '| B = 32 | 0 of 1; 1 diverged | 0.1 | – |' in text


def test_time_counts_each_group_once(grid: pathlib.Path) -> None:
    """Groups of 10 s and 2 s and a probe of 2 s; useful: 8 + 2 + 2 of 14."""
    everything = inventory.load(grid)
    total = provenance.spent(everything)
    assert {k: total[k] for k in ('in all', 'updates', 'compile', 'probes')} == {
        'in all': 14.0, 'updates': 8.0, 'compile': 1.0, 'probes': 2.0,
    }  # fmt: skip
    table, said = provenance.times(everything)
    assert f'| {8 / 14:.1%} | {markdown.bar(8 / 14)} |' in table
    assert f'{14 / 12:.3g} times as long' in said
    assert '60 s passed, 5 times' in said


def test_hardware_is_counted_where_it_differs(grid: pathlib.Path, tmp_path: pathlib.Path) -> None:
    text = both(grid, tmp_path / 'out', drawing=False)[1]
    assert '| device | cpu (2), gpu (1), not noted (1) |' in text
    assert '| jax | 0.10.2 (2), not noted (2) |' in text


def test_config_tells_what_is_not_default(grid: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Defaults stand in schema.py: learning_rate 0.1 is one, 0.2 and a momentum are not; widths are the model's own."""
    first = {'learning_rate': 0.1, 'momentum': None, 'model': {'widths': [64]}}
    second = {'learning_rate': 0.2, 'momentum': 0.9, 'record': {'log_spaced': 1000}}
    for run, declared in (('b16-lr0.1-s0', first), ('b16-lr0.1-s1', second)):
        file = grid / 'train' / run / 'config.json'
        paths.write_json(file, paths.read_json(file) | {'declared': declared})
    text = both(grid, tmp_path / 'out', drawing=False)[1]
    config = text[text.index('## Config') : text.index('## Hardware')]
    rows = [line for line in config.splitlines() if line.startswith('| ') and '---' not in line][1:]
    assert rows == [
        '| learning\\_rate | 0.1; 0.2 | 0.1 |',
        '| model.widths | 64; not given | its part’s own |',
        '| momentum | 0.9; not given | not given |',
    ]


def test_branches_count_their_own_updates(grid: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """A branch from update 4 that reached update 8 made 4 updates of 16."""
    branch = write_run(grid, learning_rate=0.2, values=VALUES, parent={'epoch': 1.0})
    facts = {'run': 'b16-lr0.1-s0', 'study': 'train', 'step': 4, 'examples': 64, 'epoch': 1.0, 'state': {},
             'changes': {'learning_rate': [0.1, 0.2]}}  # fmt: skip
    paths.write_json(branch / 'lineage.json', facts)
    run = next(r for r in inventory.load(grid).runs if r.parent)
    assert (run.own('step'), run.own('examples')) == (4, 64)
    page, text = both(grid, tmp_path / 'out', drawing=False)
    line = '\n  b16-lr0.2-s0  done  of b16-lr0.1-s0 at epoch 1: learning_rate 0.1 → 0.2'
    assert line in text
    assert line in html.unescape(page)
    assert 'b16-lr0.1-s0 at epoch 1' in text


# --- claims


FINDINGS = f"""
from bsresearch.analysis.contrasts import alone
from bsresearch.analysis.figures import curves
from bsresearch.analysis.of_runs import final
from bsresearch.analysis.statements import Statement

SOURCE, QUESTION = 'Doe 1999', 'Is larger slower?'
TEST = final('test_accuracy')
CLAIMS = (
    Statement('A1', 'Doe 1999', {NASTY!r}, TEST, alone('small'), low=0.1),
    Statement('A2', 'Roe 2001', 'Larger is slower.', TEST, alone('small'), low=0.99, note='as said'),
    Statement('B', 'Roe 2001', 'Nothing is known.', untested='no runs'),
)
FIGURES = (curves('test_accuracy'),)
HEADLINE = ('A1', 0)
"""


@pytest.fixture
def tested(grid: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A file of findings of the user's own, which the runs of `grid` were launched with."""
    file = tmp_path / 'own_findings.py'
    file.write_text(FINDINGS)
    arms = {'small': {'batch_size': 16}, 'large': {'batch_size': 32}}
    rows = [member(f'b16-lr0.1-s{seed}', 'small', seed) for seed in (0, 1)] + [member('b32-lr0.1-s0', 'large', 0)]
    study_file.write(grid / 'train', {str(file): entry(rows, arms)})
    return file


def test_claims_are_those_of_the_findings(tested: pathlib.Path, grid: pathlib.Path, tmp_path: pathlib.Path) -> None:
    page, text = both(grid, tmp_path / 'out', drawing=False)
    said = Page(page)
    assert said.text.index('A2 Larger is slower.') < said.text.index('3 runs; metrics are the last recorded')
    # The verdict is a word and a mark, not a colour alone.
    for shown in ('✓ holds', '✗ does not hold', '– not measured'):
        assert shown in said.text
        assert f'| {shown} |' in text
    assert '1 ✓ holds 1 ✗ does not hold 1 – not measured' in said.text
    assert '**✓ holds: 1** · **✗ does not hold: 1** · **– not measured: 1**' in text
    for part in ('80.50 %', 'as said', 'Roe 2001', 'Is larger slower?'):
        assert part in said.text
        assert part in text
    assert NASTY in said.text
    assert NASTY not in page


def test_findings_that_cannot_be_read_are_named(
    tested: pathlib.Path, grid: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    tested.write_text(FINDINGS.replace("alone('small')", "alone('smal')"))
    page, text = both(grid, tmp_path / 'out', drawing=False)
    for shown in (Page(page).text, text):
        assert 'smal' in shown
        assert '3 runs; metrics are the last recorded' in shown


# --- figures


def test_figures_that_apply_are_drawn_and_shown(grid: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Those drawn now, inside the HTML as they are on disk, linked from the Markdown with their numbers; no others."""
    out = tmp_path / 'out'
    (out / 'figures').mkdir(parents=True)
    (out / 'figures' / 'stray.png').write_bytes(b'not drawn now')
    page, text = both(grid, out)
    (image,) = Page(page).of_tag('img')
    assert image.attrib['src'].startswith('data:image/png;base64,')
    assert 'Test accuracy in training' in image.attrib['alt']
    links = re.findall(r'\]\(([^)]+)\)', text)
    assert links == ['figures/train_curves_1.png', 'figures/train_curves_1.csv']
    assert all((out / link).is_file() for link in links)
    assert 'figures/train_curves_1.csv' in Page(page).text
    assert 'stray' not in page + text


def test_a_picture_has_its_size(tmp_path: pathlib.Path) -> None:
    """In CSS pixels, as an independent reader has it; and a caption is one sentence."""
    files = [tmp_path / name for name in ('a.pdf', 'a.png', 'a.csv')]
    Image.new('RGB', (400, 300)).save(files[1])
    drawn = Drawn('a', 'Two of a kind.', tuple(files))
    assert f'width="{400 * 96 / plotting.DPI:.0f}" height="{300 * 96 / plotting.DPI:.0f}"' in pictures.image(drawn)
    assert '<b>a</b>. Two of a kind. Plotted numbers: <code>figures/a.csv</code>.' in pictures.block(drawn).html
    assert '![a: Two of a kind](figures/a.png)' in pictures.as_markdown(drawn)


def test_numbers_a_figure_reports_are_kept(grid: pathlib.Path, tmp_path: pathlib.Path) -> None:
    drawn = [Drawn('x', 'X', text='slope 0.25\n  and <more>'), Drawn('y', 'Y', refused='no <b> runs')]
    everything = inventory.load(grid)
    asked = questions.each(grid, everything, records.read(grid))
    pieces = sections.collect(grid, everything, asked, '', [drawn])
    html_text, text = page.render('', pieces), report.as_markdown(pieces)
    assert 'slope 0.25\n  and <more>' in text
    assert 'slope 0.25\n  and &lt;more&gt;' in html_text
    assert 'y drew nothing: no <b> runs' in Page(html_text).text


# --- the files


def test_self_contained_and_whole(tested: pathlib.Path, grid: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Every tag closed, no address outside the file, an alternative text for each image, an anchor for each link."""
    page, _ = both(grid, tmp_path / 'out')
    seen = Page(page)
    anchors = {element.get('id') for element in seen.elements}
    targets = [e.attrib[name] for e in seen.elements for name in ('src', 'href', 'data', 'srcset') if name in e.attrib]
    assert all(t.startswith('data:image/png;base64,') or t.removeprefix('#') in anchors for t in targets)
    assert all(image.get('alt') for image in seen.of_tag('img'))
    assert not seen.of_tag('link', 'iframe', 'object')
    assert not re.search(r'https?://|file:|@import|url\(', re.sub(r'<script>.*?</script>', '', page, flags=re.DOTALL))


def test_escapes_everything(tmp_path: pathlib.Path) -> None:
    """A title, a study, fields and a hand-made error with HTML and Markdown in them show as they were written."""
    workdir = tmp_path / 'w'
    directory = write_run(workdir, values=VALUES, status='failed', optimizer={'name': NASTY})
    note(directory, error=NASTY, device=NASTY)
    page, text = both(workdir, tmp_path / 'out', title=NASTY, drawing=False)
    seen = Page(page)
    assert seen.text.count(NASTY) >= 4
    assert not seen.of_tag('b')
    assert '*&lt;b&gt;&amp;"\' \\| \\`x\\` \\*y\\* \\_z\\_*\n' in text
    assert '<b>' not in text
    rows = [line for line in text.splitlines() if line.startswith('| ') and '&lt;b&gt;' in line]
    assert len({len(re.findall(r'(?<!\\)\|', row)) for row in rows}) == 1  # fact, value: no cell was split
    assert rows


def test_both_formats_name_every_run_and_probe(grid: pathlib.Path, tmp_path: pathlib.Path) -> None:
    page, text = both(grid, tmp_path / 'out', drawing=False)
    everything = inventory.load(grid)
    for thing in (*everything.runs, *everything.probes):
        assert thing.id in Page(page).text
        assert markdown.escape(thing.id) in text


def test_equal_records_give_equal_bytes(grid: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Also into another directory, and over a report that is there."""
    first = both(grid, tmp_path / 'a')
    assert both(grid, tmp_path / 'b') == first == both(grid, tmp_path / 'a')
    assert not list((tmp_path / 'a').glob('*.tmp'))


# --- what may be missing


def test_an_empty_directory_is_an_error_with_the_cure(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError, match=rf'{tmp_path} holds no runs and no probes; name what a launch'):
        report.write(tmp_path, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_only_probes(tmp_path: pathlib.Path) -> None:
    write_probe(tmp_path, 'b16-lr0.1-s0')
    page, text = both(tmp_path, tmp_path / 'out')
    for part in ('No runs, only what was probed.', 'aaaabbbbcccc', 'Nothing in this workdir can be drawn'):
        assert part in Page(page).text
        assert part in text


def test_nothing_is_finished(tmp_path: pathlib.Path) -> None:
    """Runs that have not begun: a config and no more."""
    for seed in range(2):
        (write_run(tmp_path, seed=seed) / 'meta.json').unlink()
    page, _ = both(tmp_path, tmp_path / 'out')
    for part in ('2 runs of study train (2 not started)', 'No run is finished.', 'No times were noted.'):
        assert part in Page(page).text


def test_records_of_an_older_version(tmp_path: pathlib.Path) -> None:
    """No declared config, no group, no versions, no times, no epoch size: what is known is told, the rest named."""
    directory = write_run(tmp_path, values=VALUES)
    config = paths.read_json(directory / 'config.json')
    del config['declared'], config['resolved']['epoch_size']
    paths.write_json(directory / 'config.json', config)
    page, _ = both(tmp_path, tmp_path / 'out', drawing=False)
    assert 'no run stored the config it was declared with' in Page(page).text


def test_many_runs_fold(tmp_path: pathlib.Path) -> None:
    for seed in range(40):
        write_run(tmp_path, seed=seed, values={'test_loss': [1.0, 0.5]})
    page, text = both(tmp_path, tmp_path / 'out', drawing=False)
    assert '<summary>train: 40 runs;' in page
    # Without the blank line GitHub shows a folded table as text.
    assert re.search(r'<summary>train: 40 runs;[^\n]*</summary>\n\n\| run \|', text)


def test_findings_with_a_fault_are_told_first_and_end_in_an_exit_code(
    tested: pathlib.Path, grid: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """A mistyped metric and a file that cannot be run: the report is there, with the fault above the question."""
    out, faults = tmp_path / 'out', list[str]()

    def assert_told_first(fault: str) -> None:
        for suffix, question in (('md', '\n# '), ('html', '<h1')):
            first = (out / f'report.{suffix}').read_text().partition(question)[0]
            assert fault in html.unescape(first.replace('\\', ''))

    tested.write_text(FINDINGS.replace("curves('test_accuracy')", "curves('test_acuracy')"))
    report.write(grid, out, drawing=False, fault=faults.append)
    assert "figure 0: no run records 'test_acuracy'; did you mean" in faults[0]
    assert_told_first(faults[0])
    tested.write_text(FINDINGS.replace('FIGURES', 'FIGURE'))
    words = ['-W', 'error', '-m', 'scripts.report', f'--workdir={grid}', f'--out={out}', '--draw=false']
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert done.stdout.split() == [str(out / f'report.{s}') for s in ('html', 'md')]
    assert 'FIGURES is missing' in done.stderr
    assert_told_first('FIGURES is missing')


def test_what_is_only_not_measured_is_no_fault(
    tested: pathlib.Path, grid: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tested.write_text(FINDINGS.replace("curves('test_accuracy')", "curves('sharpness')"))
    faults: list[str] = []
    report.write(grid, tmp_path / 'out', drawing=False, fault=faults.append)
    assert faults == []
    assert 'sharpness is not recorded; set config.measure.sharpness.every_epochs=1' in capsys.readouterr().out


def test_n_tells_how_many_are_finished(grid: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert 'n = 1 to 2 seeds ·' in both(grid, tmp_path / 'out', drawing=False)[1]
    note(grid / 'train' / 'b16-lr0.1-s1', status='running')
    text = both(grid, tmp_path / 'out', drawing=False)[1]
    assert 'n = 1 to 2 seeds (1 of them finished) ·' in text


def test_a_column_that_is_empty_in_every_row_is_left_out() -> None:
    text = markdown.table('t', ('a', 'b', 'c'), [('1', '–', '2'), ('3', '', '–')])
    assert text.splitlines()[2:] == ['| a | c |', '| ---: | ---: |', '| 1 | 2 |', '| 3 | – |']


def test_a_report_of_kept_records_lies_beside_them(tmp_path: pathlib.Path) -> None:
    """And not in the folder that they are unpacked to, which goes with the process."""
    write_run(tmp_path / 'w', values=VALUES)
    kept.keep(tmp_path / 'w', 'train', tmp_path / 'kept')
    words = [sys.executable, '-m', 'scripts.report', f'--workdir={tmp_path / "kept"}', '--draw=false', '--title=T']
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.split() == [str(tmp_path / 'kept' / f'report.{s}') for s in ('html', 'md')]
    assert 'b16-lr0.1-s0' in (tmp_path / 'kept' / 'report.md').read_text()


def test_a_figure_that_fails_costs_itself_alone(
    grid: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault in a figure's code: the report is written, has the other figure, and says so at its top."""

    def fail(study: Any, figure: Any) -> None:
        raise TypeError('an empty curve')

    monkeypatch.setattr(noise_scale, 'draw', fail)
    write_run(grid, seed=2, values=VALUES | {'noise_gradient_square': [1.0, 1.0, 1.0], 'noise_trace': [1.0, 1.0, 1.0]})
    for shown in both(grid, tmp_path / 'out'):
        head, _, body = shown.replace('\\', '').partition('How does')
        assert 'Incomplete: train_noise_scale failed.' in head
        assert 'TypeError: an empty curve' in body
        assert 'figures/train_curves_1.csv' in body


def test_what_is_not_finished_stands_at_the_top(grid: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for shown in both(grid, tmp_path / 'out', drawing=False):
        assert 'Incomplete' not in shown
    note(grid / 'train' / 'aaaabbbbcccc', status='running')
    for shown in both(grid, tmp_path / 'out', drawing=False):
        assert 'Incomplete: 1 probe running.' in shown.partition('How does')[0]


@pytest.mark.usefixtures('small_pictures')
def test_an_empty_curve_is_no_error(tmp_path: pathlib.Path) -> None:
    """One batch size without a single evaluation: its rows hold nulls alone, the table's columns numbers."""
    workdir = unpack('shen_digits', tmp_path)
    for file in workdir.glob('shen/*/metrics.jsonl'):
        if paths.read_json(file.with_name('config.json'))['resolved']['batch_size'] == 32:
            rows = [json.loads(line) for line in file.read_text().splitlines()]
            empty = lambda name: name.startswith(('train_', 'test_', 'distance'))
            rows = [{k: None if empty(k) else v for k, v in row.items()} for row in rows]
            file.write_text(''.join(f'{json.dumps(row)}\n' for row in rows))
    table = records.load(workdir)
    assert all(table[c].dtype == float for c in ('test_accuracy', 'train_loss', 'distance'))
    declared = (curves('test_accuracy', 'distance'), curves('distance', x='updates', log=True))
    drawn = drawing.each(studies.load(workdir, 'shen'), declared, tmp_path / 'figures')
    assert [(one.refused, len(one.files)) for one in drawn] == [('', 3)] * 2
