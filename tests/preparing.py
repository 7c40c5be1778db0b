"""The command that prepares data, called in this process."""

from collections.abc import Callable

import pytest
from absl import flags

from bsresearch.core import flag_help, program
from bsresearch.data import preparing
from bsresearch.data.own.request import Request

DEAD_PROXY = {'http_proxy': 'http://127.0.0.1:9', 'https_proxy': 'http://127.0.0.1:9', 'no_proxy': ''}
Called = Callable[..., tuple[int | None, str, str]]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Called:
    """`called('--name=x')`, without network: exit code, stdout, stderr."""

    def call(*arguments: str, **environment: str) -> tuple[int | None, str, str]:
        for name, value in (DEAD_PROXY | environment).items():
            monkeypatch.setenv(name, value)
        values = flags.FlagValues()
        program.called('prepare_data')
        flag_help.define(Request, values)
        try:
            code = preparing.command(flag_help.read(Request, ['prepare_data', *arguments], values))
        except SystemExit as e:
            code = int(str(e.code))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
