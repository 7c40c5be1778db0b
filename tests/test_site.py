"""The site as a reader has it: built strictly and offline, its notebook executed, its first commands typed."""

import html.parser
import json
import pathlib
import re
import shutil
import subprocess
import sys

import pages
import pytest
import toy

NOTEBOOK = pages.DOCS / 'own_loop.ipynb'
NOWHERE = dict.fromkeys(('http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'), 'http://127.0.0.1:9')
TOY = (
    '--config.total_epochs=1', '--config.sweep.seed=0,1', '--config.model.widths=(8,)', '--config.data.name=digits',
    '--config.data.mean=0.0,', '--config.data.std=1.0,',
)  # fmt: skip


class Html(html.parser.HTMLParser):
    """ids: of all elements. links: of <a>. loaded: what a browser fetches by itself."""

    def __init__(self, text: str):
        super().__init__()
        self.ids, self.links, self.loaded = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids.add(given.get('id'))
        if tag == 'a':
            self.links.append(given.get('href') or '')
        else:
            self.loaded += [value for name in ('src', 'href') if (value := given.get(name))]


@pytest.fixture(scope='module')
def site(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """As `make docs` builds it, with the network out of reach."""
    folder = tmp_path_factory.mktemp('site')
    command = re.search(r'-m sphinx (.*) docs \$\(SITE\)', (toy.ROOT / 'Makefile').read_text('utf-8'))
    assert command
    done = subprocess.run(
        [sys.executable, '-m', 'sphinx', *command[1].split(), 'docs', str(folder)], cwd=toy.ROOT,
        env=toy.environment(**NOWHERE), capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, '')
    return folder


@pytest.mark.slow
def test_the_site_is_whole(site: pathlib.Path):
    """A page for each; links lead to pages and to headings that are there; nothing is fetched from elsewhere."""
    read = {file: Html(file.read_text('utf-8')) for file in site.rglob('*.html')}
    for file in pages.every():
        if pages.DOCS in file.parents:
            assert site / file.relative_to(pages.DOCS).with_suffix('.html') in read, file
    for file, page in read.items():
        assert not [url for url in page.loaded if re.match(r'(https?:)?//', url)], file
        for link in page.links:
            path, _, anchor = link.partition('#')
            if pages.ADDRESS.match(link):
                continue
            target = (file.parent / path).resolve() if path else file
            assert target.exists(), (file, link)
            assert not anchor or target not in read or anchor in read[target].ids, (file, link)
    for style in site.rglob('*.css'):
        assert not re.search(r'(@import|url\()\s*["\']?(https?:)?//', style.read_text('utf-8')), style


def test_the_notebook_is_light():
    """What it printed is kept, and is small."""
    assert NOTEBOOK.stat().st_size < 100_000
    assert any(cell.get('outputs') for cell in json.loads(NOTEBOOK.read_text('utf-8'))['cells'])


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: pathlib.Path):
    """From its first cell to its last, in a kernel of its own; what it finds is what it says that it finds."""
    ran = pathlib.Path(shutil.copy(NOTEBOOK, tmp_path))
    command = [sys.executable, '-c', 'from nbclient.cli import main; main()', '--inplace', '--timeout=400', str(ran)]
    environment = toy.environment(hurry=False, JUPYTER_CONFIG_DIR=str(tmp_path), IPYTHONDIR=str(tmp_path))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    outputs = [output for cell in json.loads(ran.read_text('utf-8'))['cells'] for output in cell.get('outputs', ())]
    text = ''.join(line for output in outputs for line in output.get('text', ()))
    told = re.findall(r'B_simple = ([\d.]+) \(([\d.]+) to ([\d.]+), 95 %\)', text)
    scales = [tuple(map(float, numbers)) for numbers in told]
    assert len(scales) == 5
    assert all(low < scale < high for scale, low, high in scales)
    assert scales[-1][1] > scales[0][2]  # it rises, beyond the intervals
    assert any('image/png' in output.get('data', ()) for output in outputs)


# Pages whose commands are typed one after the other in one folder, with what makes them small.
TYPED = {'docs/tutorial.md': (), 'docs/studies.md': (), 'README.md': TOY}
# What takes a network, other data or hours, or has a test of its own.
LEFT_OUT = re.compile(r'^make |^pip |prepare |advise |launch |nets\.py|--to=|--config=shen')


@pytest.mark.slow
@pytest.mark.parametrize('name', TYPED)
def test_commands_of_a_page_as_typed(name: str, tmp_path: pathlib.Path):
    """Each ends well, in a folder that holds the files that the page tells to write."""
    pages.write_files(toy.ROOT / name, tmp_path)
    typed = 0
    for words in pages.commands(toy.ROOT / name, running_text=False):
        if LEFT_OUT.search(' '.join(words)) or words[:2] == ['python', '-m']:
            continue
        small = TYPED[name] if words[1] == 'run' else ()
        command = [sys.executable, '-m', *words, *small] if words[0] == 'bsresearch' else [sys.executable, *words[1:]]
        done = subprocess.run(
            command, cwd=tmp_path, env=toy.environment(MPLBACKEND='agg'), capture_output=True, text=True, timeout=500
        )
        assert done.returncode == 0, (words, done.stdout + done.stderr)
        typed += 1
    assert typed >= 2
    assert list(tmp_path.glob('runs/*/report.html'))
