"""TensorBoard's event files, <folder>/<study>/<run id>: `tensorboard --logdir=<folder>`. Scalars, in float32."""

import pathlib
import shutil
import time
from collections.abc import Sequence
from typing import Any

from bsresearch.loggers import Mode, Row, Run

PACKAGE, NEEDS, EXTRA = 'tensorboardX', 'tensorboardX', 'track'


def open_log(run: Run, folder: pathlib.Path, mode: Mode) -> '_Events':
    """A file of events; one is added to those that are there where the run goes on."""
    directory = folder / run.study / run.id
    if mode == 'new' and directory.exists():
        raise FileExistsError(str(directory))
    if mode == 'replace' and directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True)
    return _Events(directory)


class _Events:
    """tensorboardX's plain writer: its SummaryWriter has a thread, in which a full disk would go unseen."""

    def __init__(self, directory: pathlib.Path):
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2, summary_pb2

        self._event: Any = event_pb2.Event
        self._summary: Any = summary_pb2.Summary
        # Two writers of one second would have one name.
        self._writer = EventsWriter(str(directory / 'events'), f'.{time.time_ns()}')

    def write(self, rows: Sequence[Row]) -> None:
        """An event per row."""
        for row in rows:
            values = [self._summary.Value(tag=name, simple_value=value) for name, value in row.metrics.items()]
            self._writer.write_event(
                self._event(wall_time=row.time, step=row.step, summary=self._summary(value=values))
            )
        self._writer.flush()

    def close(self, status: str) -> None:
        """TensorBoard knows no status."""
        self._writer.close()
