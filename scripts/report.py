"""A report of a workdir: claims with verdicts, figures, tables, lineage, config, hardware and time.

    bsresearch report --workdir=runs/shen [--out=<directory>] [--title='Shen, 60 epochs'] [--draw=false]

First draws the figures of what was asked into <out>/figures (--draw=false: none), then writes
report.html, one file with the figures inside, and report.md, which links them. A figure that cannot be drawn is named
with the reason. Findings with a fault are told first, with exit code 1: the report is written without what they
would have said. Reads records only. Default of --out: the workdir. Time: seconds to a minute, for the figures.

Claims and figures are those of the findings that study.json names; a sweep without findings gets its question, its
table and its figures from its axes.
"""

import contextlib
import os
import sys

from absl import flags

from bsresearch.analysis import command
from bsresearch.report import rendering


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('workdir', None, command.WORKDIR)
    flags.DEFINE_string('out', None, 'directory of report.html, report.md and figures/; default: the workdir')
    flags.DEFINE_string('title', '', 'of the report; default: the name of the workdir and its studies')
    flags.DEFINE_bool('draw', True, 'draw the figures; without it the report has none')


def main() -> None:
    """Flags to values. The process that helps with rendering imports what it needs while this one does."""
    given = flags.FLAGS
    rendering.collect_seldom()
    helped = given.draw and (os.cpu_count() or 1) > 1
    faults: list[str] = []
    with rendering.beside() if helped else contextlib.nullcontext(rendering.here) as submit:
        from bsresearch.report import report

        for file in report.write(
            command.workdir(), command.out(), given.title, drawing=given.draw, submit=submit, fault=faults.append
        ):
            print(file)
    for line in faults:
        print(line, file=sys.stderr)
    if faults:
        sys.exit(1)


def enter(name: str) -> None:
    """The command, called `name`."""
    define_flags()
    command.run(name, main)


if __name__ == '__main__':
    enter('report')
