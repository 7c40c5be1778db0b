"""The first screen of a report on planted records: question, answer, claims, curves; and several questions at once."""

import pathlib
import re
from typing import Any, NamedTuple

import numpy as np
import pytest
import shen_records
from fake_records import write_run
from html_page import Page

from bsresearch.analysis import cells, courses, study
from bsresearch.analysis.statements import judge
from bsresearch.findings import shen as findings
from bsresearch.report import colours, report, web
from bsresearch.store import paths, records, study_file


def plant(workdir: pathlib.Path, name: str = 'shen', **options: Any) -> None:
    """The runs of Shen's study with their arms, as training leaves them: branches with their lineage."""
    shen_records.write(workdir, **options)
    for directory in records.run_dirs(workdir):
        parent = paths.read_json(directory / 'config.json')['resolved'].get('parent')
        if parent:
            facts = parent | {'study': 'shen', 'examples': 0, 'state': {}, 'changes': {}}
            paths.write_json(directory / 'lineage.json', facts)
    study_file.write(workdir / 'shen', {name: shen_records.entry(workdir)})


class Written(NamedTuple):
    """A workdir and its report."""

    workdir: pathlib.Path
    html: str
    text: str


def write(workdir: pathlib.Path, out: pathlib.Path, **options: Any) -> Written:
    page, text = report.write(workdir, out, **options)
    return Written(workdir, page.read_text(), text.read_text())


@pytest.fixture(scope='module')
def shen(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The planted runs of Shen's study with their arms, without figures."""
    workdir = tmp_path_factory.mktemp('planted')
    plant(workdir)
    return write(workdir, workdir / 'out', drawing=False)


def verdicts(page: Page) -> dict[str, str]:
    """key → the word beside each claim."""
    marks = {row.attrib['data-key']: row.find('.//span[@class="mark"]/span') for row in page.of_class('claim')}
    return {key: str(mark.text).partition(' ')[2] for key, mark in marks.items() if mark is not None}


def test_it_opens_with_the_question_and_the_headline_claim(shen: Written) -> None:
    """The verdict beside the answer is that of the headline claim, its numbers those of its parts."""
    seen = Page(shen.html)
    assert [head.text for head in seen.of_tag('h1')] == [findings.QUESTION]
    judged = judge(
        next(c for c in findings.CLAIMS if c.key == findings.HEADLINE[0]),
        study.load(shen.workdir, 'shen', shen_records.entry(shen.workdir), 'shen'),
    )
    (answer,) = seen.of_class('answer')
    assert answer.get('data-verdict') == judged.verdict
    sentence = ''.join(answer.itertext())
    assert all(f'{one.part.label}: {one.text}' in sentence for one in judged.judged)
    assert '97.9' not in sentence  # the source's own
    assert shen.text.index(findings.QUESTION) < shen.text.index('## Claims') < shen.text.index('## Results')


def test_every_claim_is_a_row_with_its_verdict(shen: Written) -> None:
    """As judging them here has it; and the tally counts them."""
    loaded = study.load(shen.workdir, 'shen', shen_records.entry(shen.workdir), 'shen')
    expected = {claim.key: judge(claim, loaded).verdict for claim in findings.CLAIMS}
    assert verdicts(Page(shen.html)) == expected
    for verdict in set(expected.values()):
        count = list(expected.values()).count(verdict)
        assert re.search(rf'<li class="{verdict.replace(" ", "-")}"><b>{count}</b>', shen.html)
        assert f'{verdict}: {count}**' in shen.text
    assert {key for key in expected if re.search(rf'^\| \S+ [\w ]+ \| {key} \|', shen.text, re.MULTILINE)} == set(
        expected
    )


def test_n_is_told_once(shen: Written) -> None:
    """In the line on how it was asked, and in the note above the claims; not in every row."""
    rows = shen.html[shen.html.index('<div class="forest">') : shen.html.index('<h2 id="part1"')]
    assert 'n = 3' not in rows
    assert 'n = 3 seeds' in shen.html[: shen.html.index('<div class="forest">')]


def test_curves_are_the_means_of_the_cells(shen: Written) -> None:
    """As courses.of has them at every position, in per cent; the colours are those of the figures."""
    (data,) = Page(shen.html).data
    loaded = study.load(shen.workdir, 'shen', shen_records.entry(shen.workdir), 'shen')
    assert [cell['label'].split(' ')[0] for cell in data['cells']] == ['small', 'middle', 'large']
    assert [panel['label'] for panel in data['panels']][:2] == ['test accuracy (%)', 'train accuracy (%)']
    for cell, arm in zip(data['cells'], ('small', 'middle', 'large'), strict=True):
        key = next(k for k in cells.of(loaded) if k[0] == arm and not k[1])
        assert cell['colour'] == colours.looks(loaded)[key].colour
        curve = cell['curves'][0]
        for x in courses.POSITIONS:
            table = courses.of(loaded, key, 'test_accuracy', x)
            assert curve[x] == pytest.approx(table['x'].tolist(), rel=1e-5)
            assert curve['mean'] == pytest.approx((100 * table['mean']).tolist(), rel=1e-5)
        known = [(low, high) for low, high in zip(curve['low'], curve['high'], strict=True) if low is not None]
        assert known
        assert all(0 <= low <= high <= 100 for low, high in known)


def test_of_two_seeds_there_is_no_band(tmp_path: pathlib.Path) -> None:
    for seed in (0, 1):
        for size in (8, 16):
            write_run(tmp_path, batch_size=size, seed=seed, values={'test_accuracy': [0.1, 0.5 + 0.1 * seed]})
    (data,) = Page(write(tmp_path, tmp_path / 'out', drawing=False).html).data
    assert {end for cell in data['cells'] for end in (*cell['curves'][0]['low'], *cell['curves'][0]['high'])} == {None}
    assert data['cells'][0]['curves'][0]['mean'] == pytest.approx([10, 55])


def test_the_library_stands_in_the_page_once_and_is_small(shen: Written) -> None:
    """At most 1.5 MB; nothing in the data can close its element, and no script has an address."""
    library = web.library()
    assert len(library.encode()) < 1.5e6
    assert '</script' not in library.lower()
    assert shen.html.count(library) == 1
    assert web.as_json({'a': '</script><b>'}) == '{"a":"<\\/script><b>"}'
    assert not [script for script in Page(shen.html).of_tag('script') if script.get('src')]


def test_a_long_curve_is_thinned_to_its_ends() -> None:
    kept = web._thinned(10_000)
    assert (len(kept), kept[0], kept[-1]) == (web.MOST, 0, 9_999)
    assert web._thinned(7).tolist() == list(range(7))
    assert np.diff(kept).max() <= np.ceil(10_000 / web.MOST) + 1


def test_a_sweep_comes_before_what_was_claimed(tmp_path: pathlib.Path) -> None:
    """Each with a question of its own, though the other one's folder comes first; the links lead to both."""
    plant(tmp_path, skip=('control',))
    for size in (8, 16):
        for seed in (0, 1, 2):
            write_run(tmp_path, batch_size=size, seed=seed, values={'test_accuracy': [0.1, 0.5 + 0.01 * seed]})
    shown = write(tmp_path, tmp_path / 'out', drawing=False)
    seen = Page(shown.html)
    heads = [head.text for head in seen.of_tag('h1')]
    assert heads == ['How does test accuracy depend on batch size?', findings.QUESTION]
    assert verdicts(seen)['C2'] == 'not measured'
    links = {link.attrib['href'].removeprefix('#'): link.text for link in seen.of_tag('a')}
    assert list(links.values())[:2] == ['Sweep train', 'Shen 2018']
    assert set(links) <= {element.get('id') for element in seen.elements}
    assert len(seen.data) == 2


def test_a_damaged_study_file_is_told(tmp_path: pathlib.Path) -> None:
    plant(tmp_path)
    file = tmp_path / 'shen' / study_file.NAME
    file.write_text(file.read_text().replace('"small"', '"smaller"', 1))
    with pytest.raises(ValueError, match=r'study\.json'):
        report.write(tmp_path, tmp_path / 'out', drawing=False)


def test_findings_of_an_unknown_name_are_a_sweep_over_its_arms(tmp_path: pathlib.Path) -> None:
    plant(tmp_path, 'nothing')
    seen = Page(write(tmp_path, tmp_path / 'out', drawing=False).html)
    assert len(seen.of_tag('h1')) == 1
    assert [answer.get('data-verdict') for answer in seen.of_class('answer')] == ['']


def test_findings_that_cannot_be_read_are_told_above_the_cells(tmp_path: pathlib.Path) -> None:
    plant(tmp_path, f'{tmp_path}/gone.py')
    shown = write(tmp_path, tmp_path / 'out', drawing=False)
    assert [answer.get('data-verdict') for answer in Page(shown.html).of_class('answer')] == ['']
    assert 'gone.py' in shown.html[: shown.html.index('<h2')]


@pytest.mark.slow
def test_declared_figures_are_drawn_and_the_headline_opens(shen: Written, tmp_path: pathlib.Path) -> None:
    """Each declared figure once, under the name of its findings; the first is the still of the curves."""
    shown = write(shen.workdir, tmp_path)
    names = [figure.name for figure in findings.FIGURES]
    for name in names:
        assert (tmp_path / 'figures' / f'shen_{name}.png').is_file(), name
        assert shown.html.count(f'<b>shen_{name}</b>') == 1
        assert shown.text.count(f'](figures/shen_{name}.png)') == 1
    still = shown.html[shown.html.index('<div class="still">') :]
    assert still.startswith('<div class="still"><img src="data:image/png;base64,')
    assert f'alt="shen_{names[0]}' in still[: still.index('<figcaption>')]
    assert 'shen_forest.png' in shown.text
    assert 'shen_forest' not in shown.html
