"""One figure in a line: a metric against anything, a colour per value of a field.

    bsresearch fig --workdir=runs/a --y=test_accuracy --x=batch_size --color=learning_rate

--x=epochs, updates, examples or seconds draws the course of training; an axis or a field of the config, the mean of
each value with its 95 % interval over replicates; another metric (--x=distance), a point for each run. --y may name
several metrics, a panel each. --at is which evaluation counts: end, best_validation (of each run), median_last:5,
epoch:10. --panel=optimizer.name gives each value a panel, --where=learning_rate=0.1 keeps some runs (again for more
conditions, commas for more values). A wrong name is told with the nearest right one. Reads records only. Writes .pdf,
.png and .csv (the plotted numbers) into <workdir>/figures. Time: seconds.
"""

from absl import flags

from bsresearch.analysis import command
from bsresearch.report import one_figure

GENERIC = ('y', 'x', 'color', 'panel', 'at', 'where')


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('workdir', None, command.WORKDIR)
    flags.DEFINE_list('y', [], 'metric, or metrics, up: test_accuracy,train_loss')
    flags.DEFINE_string('x', 'epochs', 'position in training, axis, field or metric across')
    flags.DEFINE_string('color', '', 'field with a colour per value')
    flags.DEFINE_string('panel', '', 'field with a panel per value')
    flags.DEFINE_string('at', one_figure.END, f'which evaluation counts: {one_figure.READINGS}')
    flags.DEFINE_multi_string('where', [], 'column=value, or column=value,value: the runs that are meant')
    flags.DEFINE_string('figure', '', 'one that has a name; `bsresearch fig <name>` stands for it')
    flags.DEFINE_multi_string('option', [], 'name=value, of a figure that has a name: windows=10')
    flags.DEFINE_string('study', '', 'of the workdir, where it holds several')
    flags.DEFINE_string('out', None, 'directory of the figure; default: <workdir>/figures')


def main() -> None:
    """Flags to values."""
    given = flags.FLAGS
    workdir = command.workdir()
    out = command.out('figures')
    if given.figure:
        foreign = [name for name in GENERIC if given[name].present]
        if foreign:
            raise ValueError(
                f'--{foreign[0]} is of a figure without a name; {given.figure} takes --option=<name>=<value>'
            )
        files, text = one_figure.named(workdir, given.figure, given.option, given.study, out)
        print('\n'.join(map(str, [*([text] if text else []), *files])))
        return
    if not given.y:
        raise ValueError('--y=<metric> is needed: --y=test_accuracy')
    request = one_figure.Request(
        tuple(given.y), given.x, given.color, given.panel, given.at, tuple(given.where), given.study
    )
    for file in one_figure.draw(workdir, request, out):
        print(file)


if __name__ == '__main__':
    define_flags()
    command.run('fig', main)
