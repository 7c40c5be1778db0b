"""The command line behind main.py: flags in, exit code out; a user's error is one line, not a traceback."""

import os
import pathlib
import sys
import time
from typing import Any

import jax
from absl import flags, logging
from ml_collections import ConfigDict, config_flags

from bsresearch import studies
from bsresearch.core import interrupts, lookup
from bsresearch.launching import estimate, fitting, forecast, multihost, runner
from bsresearch.launching import schedule_csv as schedule_csv_file
from bsresearch.launching.console import Console, clock
from bsresearch.planning import branch, schema, sweep
from bsresearch.planning.plan import Plan
from bsresearch.store import estimates, leases, lineage, paths, presence, records
from bsresearch.train.devices import processes
from bsresearch.train.profiling.profile import Profiler

FAILED, USAGE = 1, 2
FLAGS = (
    *('config', 'workdir', 'dry_run', 'schedule_csv', 'branch_from', 'estimate', 'profile', 'lineage'),
    *('multihost', 'coordinator', 'processes', 'process', 'coordinator_seconds'),
)


def usage(message: str) -> int:
    """Prints what is wrong with the command; the exit code for it."""
    print(f'main.py: {message}', file=sys.stderr)
    return USAGE


def failed(message: str) -> int:
    """Prints what ended the command; the exit code for it."""
    print(f'main.py: {message}', file=sys.stderr)
    return FAILED


def parse_flags(argv: list[str]) -> list[str]:
    """For `app.run(flags_parser=…)`: absl's and ml_collections' errors as one line, exit code 2."""
    logging.set_verbosity(logging.WARNING)
    given = [arg.lstrip('-').split('=', 1)[0] for arg in argv]
    if 'branch_from' in given and 'config' in given:
        sys.exit(usage("--branch_from: a branch has its parent's config; leave --config out, give --config.<field>=…"))
    if 'branch_from' in given and 'config' not in given:
        # A branch's config is its parent's; the defaults stand in, so that --config.<field>=… can be given.
        # ml_collections looks for them in sys.argv itself.
        sys.argv = argv = [argv[0], f'--config={schema.__file__}', *argv[1:]]
    for i, arg in enumerate(argv):
        if arg.startswith(('--config=', '-config=')) and not pathlib.Path(arg.split('=', 1)[1].split(':')[0]).is_file():
            known = ', '.join(sorted(str(p) for p in pathlib.Path('configs').glob('*.py')))
            sys.exit(usage(f'no config file {arg.split("=", 1)[1]!r}; there are: {known}'))
        if arg in ('--config', '-config') and i + 1 < len(argv):
            sys.exit(usage(f'write --config={argv[i + 1]} (with =)'))
    try:
        return flags.FLAGS(argv)
    except flags.UnrecognizedFlagError as e:
        head, *rest = e.flagname.split('.')
        cure = lookup.nearest(head, FLAGS)
        sys.exit(usage(f'unknown flag --{".".join([head, *rest])}; {cure}'))
    except flags.Error as e:
        sys.exit(usage(_flag_error(str(e))))
    except (AttributeError, KeyError, TypeError, ValueError) as e:
        # A KeyError's own text is quoted, its line breaks too.
        reason = str(e.args[0] if isinstance(e, KeyError) and e.args else e).strip("'")
        if any(arg.lstrip('-').startswith(f'config.{reason}.') for arg in argv):
            sys.exit(usage(f'unknown config field {reason}; {lookup.nearest(reason, schema.known())}'))
        sys.exit(usage(f'bad config file or --config override: {reason.strip().splitlines()[-1]}'))


def _flag_error(words: str) -> str:
    """What is wrong with a flag, on one line: absl's words in plainer ones."""
    given, said, why = words.strip().partition(': ')
    name = given.removeprefix('flag ').lstrip('-').partition('=')[0].removeprefix('config.')
    if why.startswith('Failed to parse'):
        why = f"{name} is a section; give one of its fields, --config.{name}.<field>=…, or all as {{'field': …}}"
    for start, plain in (
        ('invalid literal for int', 'a whole number is needed'),
        ('could not conv', 'a number is needed'),
    ):
        why = plain if why.startswith(start) else why
    return f'{given}{said}{why}'.splitlines()[0]


def declared(flag: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The config file's own content, and what the command line overrides (dotted path → value)."""
    # Loaded anew: the flag's value has the overrides written into it already, and a removed axis must be told from one
    # that was never there.
    config = flag.parser.parse(flag.config_filename)
    overrides = config_flags.get_override_values(flag)
    plain = lambda v: v.to_dict() if isinstance(v, ConfigDict) else v
    return plain(config), {k: plain(v) for k, v in overrides.items()}


def use_compilation_cache(named: bool = False) -> None:
    """Compiled programs persist: a second launch compiles nothing anew.

    `named`: for a profile; one is found only if its instructions bear the names of this version's scopes.
    """
    jax.config.update('jax_compilation_cache_include_metadata_in_key', named)
    if getattr(jax.config, 'jax_compilation_cache_dir', None) is None:
        jax.config.update('jax_compilation_cache_dir', os.path.expanduser('~/.cache/bsresearch/xla'))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
    jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)


def show_lineage(workdir: str | None) -> int:
    """Prints the tree of a workdir's runs."""
    if workdir is None:
        return usage('--lineage needs --workdir=<directory>')
    try:
        print(lineage.text(pathlib.Path(workdir)))
    except (ValueError, OSError) as e:
        return usage(str(e))
    return 0


def _branch(where: str, workdir: str | None, overrides: dict[str, Any]) -> Plan:
    """The plan of a branch given by hand."""
    axes = [name for name in overrides if name.startswith('sweep.')]
    if axes:
        raise ValueError(f'--branch_from makes one run; config.{axes[0]} is an axis: use config.study=reload')
    taken = [f'branch.{part}' for part in branch.PARTS]
    strange = [name for name in overrides if name.startswith(('branch.', 'probe.')) and name not in taken]
    if strange:
        raise ValueError(
            f'--branch_from makes one branch, and no probe of it; config.{strange[0]} is for a study that makes some, '
            f'with --config. What it takes is what becomes of the state: {", ".join(taken)}'
        )
    directory, parent, step = branch.point(where)
    inside = workdir is not None and directory.resolve().parent.parent == pathlib.Path(workdir).resolve()
    named = f'{parent.study}/{parent.id}' if inside else str(directory.resolve())
    state = {part: overrides.pop(f'branch.{part}') for part in branch.PARTS if f'branch.{part}' in overrides}
    return branch.branch(parent, named, step, overrides, state)


def _wrong(flag: Any, workdir: str | None, dry_run: bool, schedule_csv: str | None, profile: bool) -> str | None:
    """What is wrong with the flags together."""
    if flag.value is None:
        return '--config=<file> is needed, e.g. --config=configs/batch_size_sweep.py'
    if workdir is None and not dry_run:
        return '--workdir=<directory> is needed: where runs are written, and found again'
    if schedule_csv is not None and not dry_run:
        return f'--schedule_csv={schedule_csv} needs --dry_run: it writes what would be used'
    if profile and dry_run:
        return '--profile traces updates, --dry_run makes none; leave one of them out'
    return None


def run(
    flag: Any,
    workdir: str | None,
    *,
    dry_run: bool,
    schedule_csv: str | None = None,
    branch_from: str | None = None,
    estimate_time: bool = False,
    profile: bool = False,
    together: tuple[str | None, int | None, int | None, int] | None = None,
) -> int:
    """Plans the runs of a config and, unless `dry_run`, trains them.

    `schedule_csv`: also write their schedules. `branch_from`: instead of a config's runs, one branch. `estimate_time`:
    first measure how long it will take. `profile`: also trace a few updates of the first group that is trained.
    `together`: with other processes (multihost.run's arguments).
    """
    asked = {
        'dry_run': dry_run,
        'schedule_csv': schedule_csv,
        'branch_from': branch_from,
        'estimate_time': estimate_time,
        'profile': profile,
    }
    if together is None:
        return _run(flag, workdir, **asked)
    if dry_run or estimate_time:
        return usage('--multihost trains: give --dry_run and --estimate without it')
    try:
        return multihost.run(lambda: _run(flag, workdir, **asked), *together)
    except ValueError as e:
        return usage(str(e))


def _run(
    flag: Any, workdir: str | None, *, dry_run: bool, schedule_csv: str | None, branch_from: str | None,
    estimate_time: bool, profile: bool,
) -> int:  # fmt: skip
    if wrong := _wrong(flag, workdir, dry_run, schedule_csv, profile):
        return usage(wrong)
    console = Console(quiet=not processes.leads())
    try:
        name, study, plans, stages = multihost.agreed(lambda: _planned(flag, workdir, branch_from))
        runs = [p for stage in stages for p in stage if isinstance(p, Plan)]
        probes = sum(map(len, stages)) - len(runs)
        multihost.check_alike([p for stage in stages for p in stage])
        if not dry_run or estimate_time:
            use_compilation_cache(named=profile)  # before programs are compiled to see what they take
        grouped = processes.share(lambda: fitting.groups(runs, console.say if dry_run else lambda _: None))
        if workdir is not None and not dry_run:
            multihost.check_shared(pathlib.Path(workdir))
        if dry_run:
            estimate.show(console, runs, grouped, probes)
        if schedule_csv is not None:
            console.say(f'{schedule_csv_file.write(pathlib.Path(schedule_csv), plans):,} updates → {schedule_csv}')
    except (ValueError, OSError) as e:
        return usage(str(e))
    if dry_run and not estimate_time:
        return 0
    root = pathlib.Path(workdir) if workdir is not None else None
    try:
        seconds = _estimated(console, root, stages) if estimate_time else None
    except (ValueError, OSError) as e:
        return failed(str(e))
    if dry_run or root is None:
        return 0
    begun = time.time()
    console.header(runs, grouped, root, probes)
    code = _execute(console, root, study, plans, Profiler(console.say) if profile else None)
    if seconds is not None and code != USAGE and root.is_dir():
        estimates.note(root, name, seconds, time.time() - begun, code == 0)
        console.say(f'estimated {clock(seconds)}, took {clock(time.time() - begun)}')
    return code


def _planned(flag: Any, workdir: str | None, branch_from: str | None) -> tuple[str, Any, list[Plan], list[Any]]:
    """The study's name and module, its plans, and its stages as far as they can be told before anything is made."""
    config, overrides = declared(flag)
    config['study'] = overrides.pop('study', config['study'])
    if branch_from is not None:
        config['study'], plans = 'train', [_branch(branch_from, workdir, overrides)]
    else:
        plans = sweep.expand(config, overrides)
    if branch_from is None:
        studies.check(config['study'], plans)
    if workdir is not None:
        paths.check_schema(pathlib.Path(workdir))
    procedure = studies.module(config['study'])
    return config['study'], procedure, plans, list(procedure.stages(plans))


def _estimated(console: Console, workdir: pathlib.Path | None, stages: list[Any]) -> float:
    """Says how long the launch will take; seconds."""
    console.say('measuring how fast this machine is …')
    begun = time.time()
    seconds = forecast.study(workdir, stages)
    console.say(f'estimate: {clock(seconds)} for what is not done yet (measured in {clock(time.time() - begun)})')
    return seconds


def _execute(console: Console, workdir: pathlib.Path, study: Any, plans: list[Plan], profiler: Profiler | None) -> int:
    try:
        with presence.Stay(workdir) as stay:
            _make(console, workdir, study, plans, profiler, stay)
    except processes.Left:
        raise
    except interrupts.Stopped as e:
        console.say(interrupts.line(e.number))
        return 128 + e.number
    except (leases.Owned, ValueError, presence.Gone) as e:
        return failed(str(e))
    except OSError as e:
        return failed(f'{e}; what was written is valid: cure that and give the same command again')
    return 0


def _make(
    console: Console,
    workdir: pathlib.Path,
    study: Any,
    plans: list[Plan],
    profiler: Profiler | None,
    stay: presence.Stay,
) -> None:
    """Stage after stage, and the table of what came of it; `stay` knows the workdir once it is made."""
    made = list(plans)
    for stage in study.stages(plans):
        runner.launch(workdir, stage, console, profiler, stay)
        made += [p for p in stage if isinstance(p, Plan) and p not in made]
    if hasattr(study, 'conclude'):
        processes.share_here(lambda: study.conclude(workdir, plans, console.say))
    if profiler is not None:
        profiler.conclude()
    stay.check()
    rows = [records.last_row(paths.run_dir(workdir, p.study, p.id)) for p in made]
    console.results(workdir, made, rows)
