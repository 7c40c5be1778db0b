"""The command behind scripts/run.py: values of flags in, exit code out; a user's error is one line, not a traceback."""

import pathlib
import time
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import jax

from bsresearch.core import interrupts, program
from bsresearch.launching import (
    calibration,
    compilation_cache,
    dry_run,
    fitting,
    flag_parser,
    forecast,
    multihost,
    planner,
    runner,
    schedule_csv,
    walk,
)
from bsresearch.launching.console import Console, clock, counted
from bsresearch.planning.stages import probes_of
from bsresearch.store import estimates, lineage, presence
from bsresearch.train.devices import processes
from bsresearch.train.profiling.profile import Profiler


class Request(NamedTuple):
    """What the command is asked for beside the config: its flags."""

    workdir: Annotated[str | None, 'Where runs are written, and found again.'] = None
    arms: Annotated[Sequence[str], 'Only these arms of the config, by name.'] = ()
    branch_from: Annotated[
        str | None, '<directory of a run>@epoch:2, @step:100 or @examples:5000: one run that begins there.'
    ] = None
    dry_run: Annotated[bool, 'Print the runs that would be made; train nothing.'] = False
    schedule_csv: Annotated[str | None, 'With --dry_run: also write what each update would use.'] = None
    xla_analysis: Annotated[bool, 'With --dry_run: memory and FLOPs as XLA tells them; compiles each program.'] = False
    estimate: Annotated[bool, 'With --dry_run: measure, as a launch does, and print how long that takes.'] = False
    profile: Annotated[bool, 'Also trace a few updates of the first group, told by phases.'] = False
    runs: Annotated[bool, 'List each run in the final table, not only the arms.'] = False
    lineage: Annotated[bool, 'Print the tree of parents and branches of --workdir.'] = False
    multihost: Annotated[bool, 'One of several processes that train together.'] = False
    coordinator: Annotated[str | None, 'host:port of process 0; on a cluster found by itself.'] = None
    processes: Annotated[int | None, 'How many there are; on a cluster found by itself.'] = None
    process: Annotated[int | None, 'Which this is, from 0; on a cluster found by itself.'] = None
    coordinator_seconds: Annotated[int, 'How long to wait for the other processes.'] = 60

    @property
    def directory(self) -> pathlib.Path | None:
        """Of the runs."""
        return pathlib.Path(self.workdir) if self.workdir else None


def _contradiction(flag: Any, request: Request) -> str | None:
    """What is wrong with the flags together."""
    if not request.multihost and (request.coordinator or request.processes or request.process is not None):
        return '--coordinator, --processes and --process need --multihost'
    if request.multihost and (request.dry_run or request.estimate):
        return '--multihost trains: give --dry_run and --estimate without it'
    if request.coordinator_seconds < 1:
        return f'--coordinator_seconds={request.coordinator_seconds}: at least 1 is needed'
    if flag.value is None:
        return '--config=<name or file> is needed, e.g. --config=batch_size_sweep'
    if not (request.workdir or request.dry_run):
        return '--workdir=<directory> is needed: where runs are written, and found again'
    if request.schedule_csv is not None and not request.dry_run:
        return f'--schedule_csv={request.schedule_csv} needs --dry_run: it writes what would be used'
    if request.xla_analysis and not request.dry_run:
        return '--xla_analysis needs --dry_run: it adds memory and FLOPs to the tables of that'
    if request.profile and request.dry_run:
        return '--profile traces updates, --dry_run makes none; leave one of them out'
    return None


def run(flag: Any, request: Request) -> int:
    """Plans the runs of a config and, unless only that is asked for, trains them; the exit code.

    `flag`: --config, as ml_collections has it.
    """
    if request.lineage:
        return _show_lineage(request.directory)
    if contradiction := _contradiction(flag, request):
        return program.usage(contradiction)
    if not request.multihost:
        return _run(flag, request)
    place = (request.coordinator, request.processes, request.process, request.coordinator_seconds)
    try:
        return multihost.run(lambda: _run(flag, request), *place)
    except ValueError as e:
        return program.usage(str(e))


def _show_lineage(workdir: pathlib.Path | None) -> int:
    if workdir is None:
        return program.usage('--lineage needs --workdir=<directory>')
    try:
        print(lineage.text(workdir))
    except (ValueError, OSError) as e:
        return program.usage(str(e))
    return 0


def _run(flag: Any, request: Request) -> int:
    console, workdir = Console(quiet=not processes.leads()), request.directory
    compilation_cache.hush()  # what planning compiles, too
    try:
        study, groups = _planned(console, flag, request)
    except (ValueError, OSError) as e:
        return program.usage(str(e))
    if request.dry_run or workdir is None:
        return _estimated(console, workdir, study) if request.estimate else 0
    console.header(study.runs, groups, workdir, len(study.members) - len(study.runs))
    profiler = Profiler(console.say) if request.profile else None
    code = execute(console, workdir, study, profiler, each=request.runs)
    if profiler is not None and code == 0:
        profiler.conclude()
    if console.expected is not None and not study.awaits_results and code != program.USAGE and workdir.is_dir():
        spent = time.monotonic() - console.began
        estimates.note(workdir, study.name, console.expected, spent, code == 0)
        console.say(f'expected {clock(console.expected)}, took {clock(spent)}')
    return code


def _planned(console: Console, flag: Any, request: Request) -> tuple[planner.Study, list[Any]]:
    """The study and its replica groups, agreed upon by all processes; a dry run's tables are printed."""
    trained_in = None if request.dry_run else request.directory
    given = request.directory, request.branch_from, request.arms, console.say
    plan = lambda: planner.study(*flag_parser.declared(flag), *given)
    if trained_in is not None and jax.process_count() == 1:
        study = calibration.planned(plan, trained_in, console.say)
    else:
        study = multihost.agreed(plan)
    multihost.check_alike(study.members)
    if not request.dry_run or request.estimate or request.xla_analysis:
        compilation_cache.use(named=request.profile)  # before programs are compiled to see what they take
    if study.awaits_results:
        console.say(f'{counted(len(study.stages), "stage")} known so far; {planner.LATER}')
    groups = processes.share(lambda: fitting.groups(study.runs, console.say if request.dry_run else lambda _: None))
    if trained_in is not None:
        multihost.check_shared(trained_in)
    if request.dry_run:
        probes = len(study.members) - len(study.runs)
        dry_run.show(console, study.runs, groups, probes, analysis=request.xla_analysis, arms=study.arms)
    if (csv := request.schedule_csv) is not None:
        console.say(f'{schedule_csv.write(pathlib.Path(csv), study.plans):,} updates → {csv}')
    return study, groups


def _estimated(console: Console, workdir: pathlib.Path | None, study: planner.Study) -> int:
    """Of a dry run; the exit code."""
    try:
        _expect(console, workdir, study, forecast.Forecast(console.say))
    except interrupts.Stopped as e:
        console.say(interrupts.line(e.number))
        return interrupts.SIGNALLED + e.number
    return 0


def execute(
    console: Console,
    workdir: pathlib.Path,
    study: planner.Study,
    profiler: Profiler | None = None,
    *,
    each: bool = False,
) -> int:
    """Trains a planned study here, or in several processes together; the exit code; arguments as of walk.execute."""
    measured = forecast.Forecast(console.say)

    def begin(study: planner.Study, _: int, stay: presence.Stay) -> None:
        processes.share(lambda: planner.write_down(study, workdir, stay))
        _expect(console, workdir, study, measured)

    def make(study: planner.Study, number: int, stay: presence.Stay) -> bool:
        runner.launch(workdir, study.stages[number], console, profiler, stay)
        return True

    return walk.execute(console, workdir, study, begin, make, each=each)


def _expect(console: Console, workdir: pathlib.Path | None, study: planner.Study, measured: forecast.Forecast) -> None:
    """Says how long what is not finished of a study takes; of several processes that train together nothing."""
    if jax.process_count() > 1:
        return
    with interrupts.noted() as caught:
        probes = probes_of(study.members)
        console.expect(measured.outlook(workdir, study.runs, probes, more=study.awaits_results, caught=caught))
    if caught:
        raise interrupts.Stopped(caught[0])
