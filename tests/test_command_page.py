"""docs/command.md is a session that took place: its commands again, at toy size, in an empty folder."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from typing import NamedTuple

import pytest
import toy

from bsresearch.launching import describe

PAGE = toy.ROOT / 'docs' / 'command.md'
TOY = (
    '--config.batch_size=64',
    '--config.learning_rate=0.1',
    '--config.total_epochs=0.4',
    '--config.model.widths=(8,)',
)
MEASURED = ('run', 'launch')


class Typed(NamedTuple):
    """A command of the page, and the lines that came back."""

    words: list[str]
    lines: list[str]

    @property
    def stopped(self) -> bool:
        """By Ctrl-C."""
        return '^C' in self.lines


def session() -> list[Typed]:
    """All commands of the page, in their order."""
    typed: list[Typed] = []
    for block in re.findall(r'```console\n(.*?)```', PAGE.read_text(encoding='utf-8'), re.DOTALL):
        for line in block.splitlines():
            if line.startswith('$ '):
                typed.append(Typed(line[2:].split(), []))
            else:
                typed[-1].lines.append(line)
    return [t for t in typed if t.words[0] == 'bsresearch']


def again(typed: Typed, folder: pathlib.Path) -> tuple[int, str]:
    """Exit code and output of a command of the page, made short where it trains; stopped where it was."""
    own = TOY if typed.words[1] in MEASURED and '--config.batchsize=64' not in typed.words else ()
    words = [sys.executable, '-m', 'bsresearch', *typed.words[1:], *own]
    process = subprocess.Popen(
        words, cwd=folder, env=toy.environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if typed.stopped:
        while process.poll() is None and not list(folder.glob('runs/*/*/groups/*/lease.json')):
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


def fixed(line: str) -> bool:
    """Whether a line is the same at any size: it holds no number and no word of a longer session."""
    return not re.search(r'\d|…|─|^\s*$|\^C', line)


@pytest.mark.slow
def test_the_session_again(tmp_path: pathlib.Path):
    """Each ends as it did on the page, and says what it said there but for numbers."""
    for typed in session():
        code, output = again(typed, tmp_path)
        expected = (
            130 if typed.stopped else 2 if any(line.startswith('bsresearch run: ') for line in typed.lines) else 0
        )
        assert code == expected, (typed.words, output)
        for line in filter(fixed, typed.lines):
            assert ' '.join(line.split()) in ' '.join(output.split()), (typed.words, line, output)
    assert (tmp_path / 'runs' / 'b' / 'report.html').is_file()


def test_what_the_page_says_of_fields_is_what_is_printed():
    """To the letter."""
    told = [typed for typed in session() if typed.words[1] == 'fields']
    assert told
    for typed in told:
        assert '\n'.join(typed.lines).strip('\n') == describe.text(*typed.words[2:])
