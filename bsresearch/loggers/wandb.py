"""Weights & Biases: a run each, in <folder> where WANDB_MODE=offline (`wandb sync` sends it later), else at the server.

Project: WANDB_PROJECT, or bsresearch; the group is the study. Every metric can be drawn over step, examples, epoch or
seconds.
"""

import errno
import importlib
import logging
import netrc
import os
import pathlib
import shutil
import urllib.parse
from collections.abc import Sequence
from typing import Any

from bsresearch.loggers import Mode, Row, Run

PACKAGE, NEEDS, EXTRA = 'wandb', 'wandb', 'wandb'
LOCAL = ('offline', 'dryrun', 'disabled')
KEYS = ('WANDB_API_KEY', 'WANDB_IDENTITY_TOKEN_FILE')
SERVER = 'https://api.wandb.ai'
INIT_SECONDS = 30.0
LEAST_BYTES = 2**16  # of room on the disk, after a write


def _wandb() -> Any:
    """The package, which takes a second and need not be installed."""
    return importlib.import_module('wandb')


def lacking() -> str:
    """What is to be done first; '' if nothing: it is logged in, or stays offline."""
    if os.environ.get('WANDB_MODE') in LOCAL or any(os.environ.get(key) for key in KEYS):
        return ''
    if _has_password(os.environ.get('WANDB_BASE_URL') or SERVER):
        return ''
    # `wandb offline` and `wandb login --host` left their word in its settings.
    settings = _wandb().setup().settings
    if settings.mode in LOCAL or settings.api_key or _has_password(settings.base_url):
        return ''
    return 'is not logged in: `wandb login`, or set WANDB_API_KEY, or WANDB_MODE=offline to send the runs later'


def _has_password(server: str) -> bool:
    """Whether `wandb login` has left a key for a server."""
    try:
        logins = netrc.netrc(os.path.expanduser(os.environ.get('NETRC') or '~/.netrc'))
    except (OSError, netrc.NetrcParseError):
        return False
    return urllib.parse.urlparse(server).hostname in logins.hosts


def open_log(run: Run, folder: pathlib.Path, mode: Mode) -> '_Run':
    """A run of W&B whose id is the key of ours."""
    wandb = _wandb()
    there = sorted(folder.glob(f'*run-*-{run.key}'))
    if mode == 'new' and there:
        raise FileExistsError(str(there[0]))
    for directory in there if mode == 'replace' else ():
        shutil.rmtree(directory)
    logging.raiseExceptions = False  # its log of what it does is not worth a traceback where the disk is full
    # W&B's own wait for a server that does not answer is longer than the end of a training waits for loggers.
    wait = {} if 'WANDB_INIT_TIMEOUT' in os.environ else {'init_timeout': INIT_SECONDS}
    quiet = wandb.Settings(
        silent=True, console='off', x_disable_stats=True, disable_git=True, disable_code=True, **wait
    )
    folder.mkdir(parents=True, exist_ok=True)
    return _Run(
        wandb.init(
            dir=str(folder.parent),  # in it a folder wandb, which is ours
            project=os.environ.get('WANDB_PROJECT') or 'bsresearch',
            id=run.key, name=run.id, group=run.study, config=dict(run.config), settings=quiet, reinit='create_new',
            resume='allow' if mode == 'continue' else 'never',
        ),
        folder,
    )  # fmt: skip


class _Run:
    def __init__(self, run: Any, folder: pathlib.Path):
        self._run, self._folder = run, folder
        for position in ('step', 'examples', 'epoch', 'seconds', 'wall_seconds'):
            run.define_metric(position)
        run.define_metric('*', step_metric='step')

    def write(self, rows: Sequence[Row]) -> None:
        """A line of its history per row; its own step only counts them, since ours may come twice."""
        for row in rows:
            self._run.log({'step': row.step, **row.position, **row.metrics})
        self._check_disk()

    def close(self, status: str) -> None:
        """With the status in the summary."""
        self._run.summary['status'] = status
        self._run.finish(exit_code=int(status == 'failed'))
        self._check_disk()

    def _check_disk(self) -> None:
        """Raises OSError where there is no room left: W&B's own process loses rows without a word then."""
        if shutil.disk_usage(self._folder).free < LEAST_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._folder))
