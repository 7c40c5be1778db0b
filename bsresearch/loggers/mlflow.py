"""MLflow: a run each, at MLFLOW_TRACKING_URI, without it in <folder>, a file store.

Experiment: MLFLOW_EXPERIMENT_NAME, or bsresearch. `MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri <folder>`
shows a file store, which MLflow reads only with that word.
"""

import contextlib
import importlib
import logging
import os
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from bsresearch.loggers import Mode, Row, Run

PACKAGE, NEEDS, EXTRA = 'mlflow', 'mlflow-skinny or mlflow', 'mlflow'
KEY = 'bsresearch_key'
# Of one call, and letters of a parameter: the limits of MLflow's servers.
MOST_METRICS, MOST_PARAMS, MOST_LETTERS = 1000, 100, 6000
# Of the first call. MLflow's own, seven times in four minutes, outlast a server that is begun anew under a run.
FIRST_CALL = {'MLFLOW_HTTP_REQUEST_MAX_RETRIES': '1', 'MLFLOW_HTTP_REQUEST_TIMEOUT': '20'}
NO_ANSWER = re.compile(r'failed with (timeout )?exception')
STATUS = {'done': 'FINISHED', 'diverged': 'FINISHED', 'failed': 'FAILED', 'stopped': 'KILLED'}


def _module(name: str) -> Any:
    """Of MLflow, which takes seconds and need not be installed."""
    return importlib.import_module(name)


def open_log(run: Run, folder: pathlib.Path, mode: Mode) -> '_Run':
    """A run of MLflow, found again by a tag with the key of ours."""
    uri = os.environ.get('MLFLOW_TRACKING_URI')
    if not uri:
        os.environ.setdefault('MLFLOW_ALLOW_FILE_STORE', 'true')
        folder.mkdir(parents=True, exist_ok=True)
        uri = folder.resolve().as_uri()
    client = _module('mlflow').MlflowClient(tracking_uri=uri)
    with _answered(uri):
        experiment = _experiment(client, os.environ.get('MLFLOW_EXPERIMENT_NAME') or 'bsresearch')
    there = [one.info.run_id for one in client.search_runs([experiment], f"tags.{KEY} = '{run.key}'")]
    if mode == 'new' and there:
        raise FileExistsError(f'{uri}, run {there[0]}')
    if mode == 'continue' and there:
        client.update_run(there[0], status='RUNNING')
        return _Run(client, there[0])
    for run_id in there:
        client.delete_run(run_id)
    tags = {KEY: run.key, 'bsresearch_study': run.study}
    run_there = client.create_run(experiment, int(1000 * run.started), tags, run_name=run.id)
    _describe(client, run_there.info.run_id, run)
    return _Run(client, run_there.info.run_id)


@contextlib.contextmanager
def _answered(uri: str) -> Iterator[None]:
    """The first call: a server that does not answer is told of in seconds, in a line.

    Raises:
      ConnectionError: it does not.
    """
    logging.getLogger('urllib3.connectionpool').setLevel(logging.ERROR)  # each of its attempts is a line
    limits = {name: value for name, value in FIRST_CALL.items() if name not in os.environ}
    os.environ.update(limits)
    try:
        yield
    except _module('mlflow.exceptions').MlflowException as error:
        if NO_ANSWER.search(str(error)):
            raise ConnectionError(f'no server answers at MLFLOW_TRACKING_URI={uri}') from None
        raise
    finally:
        for name in limits:
            del os.environ[name]


def _experiment(client: Any, name: str) -> str:
    if (there := client.get_experiment_by_name(name)) is not None:
        return there.experiment_id
    try:
        return client.create_experiment(name)
    except _module('mlflow.exceptions').MlflowException:  # another process has just made it, or it cannot be
        if (there := client.get_experiment_by_name(name)) is None:
            raise
        return there.experiment_id


def _describe(client: Any, run_id: str, run: Run) -> None:
    """The config, as parameters."""
    param = _module('mlflow.entities').Param
    given = {_plain(name): str(value)[:MOST_LETTERS] for name, value in run.config.items() if value is not None}
    for some in _parts([param(name, value) for name, value in given.items()], MOST_PARAMS):
        client.log_batch(run_id, params=some)


def _plain(name: str) -> str:
    """A name as MLflow takes it: in a file store a/b would lie in a folder a, where the metric a is a file."""
    return re.sub(r'[^\w. -]', '.', name)


def _parts(values: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    return (values[i : i + most] for i in range(0, len(values), most))


class _Run:
    def __init__(self, client: Any, run_id: str):
        self._client, self._id = client, run_id

    def write(self, rows: Sequence[Row]) -> None:
        """A number per metric and row."""
        metric = _module('mlflow.entities').Metric
        metrics = [
            metric(_plain(name), value, int(1000 * row.time), row.step)
            for row in rows
            for name, value in row.metrics.items()
        ]
        for some in _parts(metrics, MOST_METRICS):
            self._client.log_batch(self._id, metrics=some)

    def close(self, status: str) -> None:
        """With the status, which MLflow has no word for if a run diverged, as a tag."""
        self._client.set_tag(self._id, 'bsresearch_status', status)
        if status != 'running':
            self._client.set_terminated(self._id, STATUS[status])
