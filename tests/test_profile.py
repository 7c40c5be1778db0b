"""A profile: phases from a compiled program's text, time from a trace, and a run that does not notice it."""

import csv
import gzip
import itertools
import json
import pathlib
import types
from collections.abc import Iterator
from typing import Any

import jax
import pytest
import toy

from bsresearch.launching import command, runner
from bsresearch.planning.plan import Plan
from bsresearch.store import paths
from bsresearch.train.profiling import phases, profile, trace

LAUNCHES = ('profiled', 'plain')
UPDATE = ('data', 'forward', 'backward', 'optimizer', 'measure', 'other', 'idle')

HLO = """HloModule jit_advance, is_scheduled=true, entry_computation_layout={(f32[4]{0}, s32[])->f32[4]{0}}

%fused_apply (param_0: f32[4], param_1: f32[4]) -> f32[4] {
  %param_0 = f32[4]{0} parameter(0)
  %param_1 = f32[4]{0} parameter(1)
  %outer.1 = f32[4]{0} multiply(%param_0, %param_0), metadata={op_name="jit(a)/while/body/transpose(jvp(forward))/mul"}
  ROOT %add.1 = f32[4]{0} add(%outer.1, %param_1), metadata={op_name="jit(a)/while/body/optimizer/add"}
}

%fused_norm (param_2: f32[4]) -> f32[] {
  %param_2 = f32[4]{0} parameter(0)
  ROOT %dot.9 = f32[] dot(%param_2, %param_2), metadata={op_name="jit(a)/while/body/measure/dot_general"}
}

%body (state.1: (s32[], f32[4], u8[9,4])) -> (s32[], f32[4], u8[9,4]) {
  %state.1 = (s32[], /*index=1*/f32[4]{0}, u8[9,4]{1,0}) parameter(0)
  %gte.1 = f32[4]{0} get-tuple-element(%state.1), index=1
  %gather.1 = f32[4]{0} gather(%state.1), offset_dims={0}, metadata={op_name="jit(a)/while/body/jvp(data)/gather"}
  %dot.1 = f32[4]{0} dot(%gather.1, %gte.1), lhs_contracting_dims={0}
  %bitcast.1 = f32[4]{0} bitcast(%dot.1)
  %max.1 = f32[4]{0} maximum(%bitcast.1), metadata={op_name="jit(a)/while/body/jvp(forward)/Mlp/jit(relu)/max"}
  %sel.1 = f32[4]{0} select(%max.1), metadata={op_name="jit(a)/while/body/vmap(transpose(jvp(forward)))/select_n"}
  %dot.2 = f32[4]{0} dot(%sel.1, %gte.1), lhs_contracting_dims={0}
  %norm = f32[] fusion(%dot.2), kind=kLoop, calls=%fused_norm, control-predecessors={%max.1}
  %apply = f32[4]{0} fusion(%dot.2, %gte.1), kind=kLoop, calls=%fused_apply, metadata={op_name="jit(a)/optimizer/add"}
  %next = s32[] add(%state.1), metadata={op_name="jit(advance)/while/body/add"}
  %lone = s32[] constant(3)
  ROOT %tuple.1 = (s32[], f32[4]{0}, u8[9,4]{1,0}) tuple(%next, %apply, %state.1)
}

ENTRY %main.1 (weights: f32[4], count: s32[]) -> f32[4] {
  %weights = f32[4]{0} parameter(0), metadata={op_name="weights"}
  %while.1 = (s32[], f32[4]{0}, u8[9,4]{1,0}) while(%weights), condition=%cond, body=%body, metadata={op_name="jit(a)/while"}
  ROOT %finite.1 = f32[4]{0} is-finite(%while.1), metadata={op_name="jit(advance)/is_finite"}
}
"""  # noqa: E501 - as a compiler writes it


def test_phases_of_a_program_written_by_hand():
    """Own name, root of what is called, and for products without a name the phase between their neighbours."""
    known = phases.of_program(HLO)
    wanted = {
        'gather.1': 'data',
        'dot.1': 'forward',  # reads data, is read by the network
        'max.1': 'forward',  # a function named like no phase does not count
        'sel.1': 'backward',
        'dot.2': 'backward',  # reads errors, is read by the optimizer
        'norm': 'measure',  # its root's
        'apply': 'optimizer',
        'next': 'other',
        'lone': 'other',
        'finite.1': 'other',
    }
    assert {name: known[name].phase for name in wanted} == wanted
    assert [name for name in wanted if known[name].mixed] == ['apply']
    assert [name for name in known if known[name].control] == ['while.1']
    assert not known['finite.1'].looped
    assert known['apply'].looped


@pytest.mark.parametrize(
    ('op_name', 'phase'),
    [
        ('jit(advance)/while/body/data/gather', 'data'),
        ('jit(advance)/while/body/jvp(vmap(forward))/Mlp/dense_0/dot_general', 'forward'),
        ('jit(advance)/while/body/transpose(jvp(forward))/Mlp/dense_0/transpose', 'backward'),
        ('jit(advance)/while/body/transpose(jvp())/div', 'backward'),
        ('jit(local)/shard_map/while/body/backward/jvp(forward)/add', 'forward'),
        ('jit(local)/shard_map/while/body/backward/psum', 'backward'),
        ('jit(advance)/while/body/jvp(forward)/Mlp/transpose', 'forward'),
        ('jit(measure)/measure/transpose(jvp(forward))/mul', 'measure'),
        ('jit(measure)/is_finite', None),
        ('', None),
    ],
)
def test_a_scope_tells_the_phase(op_name: str, phase: str | None):
    """The innermost scope, or that it was transposed; a compiled function's own name is no scope."""
    assert phases.of_scope(op_name) == phase


def test_elapsed_time_is_shared_by_those_in_flight_and_sums_to_what_passed():
    """[0, 4) a, [2, 6) b, nothing until 9, [9, 10) a and a: by hand."""
    flights = [('a', 0.0, 4.0), ('b', 2.0, 6.0), ('a', 9.0, 10.0), ('a', 9.0, 10.0)]
    assert trace.elapsed(flights) == {'a': 2 + 1 + 1, 'b': 1 + 2, trace.IDLE: 3}
    assert trace.elapsed([]) == {}


def event(name: str, ts: float, dur: float, module: str = 'jit_advance', op: str | None = None) -> dict[str, Any]:
    args = {} if name.startswith('end: ') else {'hlo_module': module, 'hlo_op': op or name}
    return {'ph': 'X', 'pid': 3, 'tid': 1, 'name': name, 'ts': ts, 'dur': dur, 'args': args}


def test_spans_of_a_trace_written_by_hand():
    """A CPU's `end:` lengthens its own instruction only; accelerators' kernels are known by hlo_op."""
    events = [
        {'ph': 'M', 'pid': 3, 'name': 'process_name', 'args': {'name': 'CPU'}},
        event('while.1', 0, 50),
        event('gather.1', 1, 2),
        event('end: gather.1', 2.5, 0.1),
        event('dot.2', 4, 1),  # goes on in another thread
        event('sel.1', 6, 3),
        event('end: dot.2', 8, 0.1),
        event('dot.2', 10, 1),
        event('end: dot.2', 12, 0.1),
        event('gemm_kernel_128x64', 20, 5, op='apply'),
        event('finite.1', 30, 1),
        event('fusion.7', 40, 1, module='jit_measure'),
        event('fusion.7', 60, 1, module='jit_measure'),
        {},
    ]
    flights = trace.flights(events, HLO, [(39.0, 45.0)])
    spans = [(f.phase, f.start, f.stop) for f in flights]
    assert spans == [
        ('data', 1, 3),
        ('backward', 4, 8),
        ('backward', 6, 9),
        ('backward', 10, 12),
        ('optimizer', 20, 25),
        ('other', 30, 31),
        ('measure', 40, 41),
    ]
    assert trace.blocks(spans)[1] == ('backward', 4, 12)
    rows = {row.phase: row for row in profile.table(flights, 2)}
    # Per update, over two of them, from the first instruction in the loop to the last: 24 µs.
    assert rows['total'].seconds == pytest.approx(12e-6)
    assert rows['backward'].seconds == pytest.approx((5 + 2) / 2 * 1e-6)
    assert rows['idle'].seconds == pytest.approx((1 + 1 + 8) / 2 * 1e-6)
    assert rows['optimizer'].mixed == pytest.approx(2.5e-6)
    assert rows['once'].seconds == pytest.approx(1e-6)


def test_blocks_of_one_phase_do_not_overlap():
    """A backward instruction that goes on past another phase's is one block with what follows in it."""
    spans = [('backward', 0.0, 10.0), ('optimizer', 2.0, 3.0), ('backward', 5.0, 12.0), ('optimizer', 13.0, 14.0)]
    assert trace.blocks(spans) == [('backward', 0, 12), ('optimizer', 2, 3), ('optimizer', 13, 14)]


@pytest.fixture
def named() -> Iterator[None]:
    """As the command line has it: programs that were cached before scopes had names are not taken."""
    before = jax.config.jax_compilation_cache_include_metadata_in_key  # pyright: ignore[reportAttributeAccessIssue]
    jax.config.update('jax_compilation_cache_include_metadata_in_key', True)
    yield
    jax.config.update('jax_compilation_cache_include_metadata_in_key', before)


def profiled(workdir: pathlib.Path, runs: list[Plan]) -> tuple[profile.Profiler, list[str]]:
    console = toy.Quiet()
    profiler = profile.Profiler(console.say)
    runner.launch(workdir, runs, console, profiler)
    profiler.conclude()
    return profiler, console.lines


def same(workdir: pathlib.Path, runs: list[Plan]) -> None:
    """Each run's records and weights are those of a launch without a profile, bit for bit."""
    toy.train(workdir / 'plain', runs)
    for plan in runs:
        assert toy.rows(workdir / 'profiled', plan) == toy.rows(workdir / 'plain', plan)
        toy.assert_equal(toy.final(workdir / 'profiled', plan), toy.final(workdir / 'plain', plan))
        metas = [paths.read_json(paths.run_dir(workdir / w, 'train', plan.id) / 'meta.json') for w in LAUNCHES]
        counts = [{name: spent['count'] for name, spent in meta['measuring'].items()} for meta in metas]
        assert counts[0] == counts[1]


@pytest.mark.usefixtures('named')
def test_a_profiled_run_is_the_run_and_its_phases_add_up(workdir: pathlib.Path):
    """Files, table and tracks; records and weights as without; then nothing is left to profile."""
    own = {'optimizer__name': 'momentum', 'momentum': 0.9, 'measure__noise_scale__every_steps': 10}
    runs = toy.plans(sweep__batch_size=(8, 16), norms__dense=True, **own)
    profiler, said = profiled(workdir / 'profiled', runs)
    same(workdir, runs)
    directory = profiler.directory
    assert directory is not None
    group = paths.read_json(paths.run_dir(workdir / 'profiled', 'train', runs[0].id) / 'meta.json')['group']
    assert directory == paths.group_dir(workdir / 'profiled', 'train', group) / 'profile' / '1'
    assert len(list((workdir / 'profiled').rglob('profile/*/phases.csv'))) == 1  # of the first group alone
    assert any(str(directory) in line for line in said)

    with open(directory / 'phases.csv') as f:
        rows = {row['phase']: row for row in csv.DictReader(f)}
    seconds = {phase: float(rows[phase]['seconds']) for phase in (*UPDATE, 'total')}
    assert all(seconds[phase] > 0 for phase in ('data', 'forward', 'backward', 'optimizer', 'measure'))
    assert sum(seconds[phase] for phase in UPDATE) == pytest.approx(seconds['total'], rel=1e-4)
    assert sum(float(rows[phase]['share']) for phase in UPDATE) == pytest.approx(1, rel=1e-4)
    assert {'measure distance', 'measure noise_scale'} <= set(rows)

    with gzip.open(directory / 'perfetto_trace.json.gz') as f:
        events = json.load(f)['traceEvents']
    (host,) = [e for e in events if e.get('name') == 'updates' and e['ph'] == 'X']
    assert 0 < 40 * seconds['total'] < host['dur'] / 1e6  # of 40 updates
    tracks = {e['tid']: e['args']['name'] for e in events if e.get('name') == 'thread_name'}
    process = max(e['pid'] for e in events if 'pid' in e)
    for tid in {e['tid'] for e in events if e.get('pid') == process and e['ph'] == 'X'}:
        slices = sorted((e['ts'], e['dur'], e['name']) for e in events if e.get('pid') == process and e['tid'] == tid
                        and e['ph'] == 'X')  # fmt: skip
        assert {name for _, _, name in slices} == {tracks[tid]}
        assert all(a[0] + a[1] <= b[0] for a, b in itertools.pairwise(slices))
    marked = {e['args']['phase'] for e in events if 'phase' in e.get('args', {})}
    assert {'data', 'forward', 'backward', 'optimizer', 'measure'} <= marked

    profiler, said = profiled(workdir / 'profiled', runs)
    assert profiler.directory is None
    assert any('nothing to profile' in line for line in said)


def test_profiles_of_a_group_are_numbered(tmp_path: pathlib.Path):
    """A second one stands beside the first."""
    assert [profile._numbered(tmp_path / 'profile').name for _ in range(2)] == ['1', '2']


def test_flags_that_cannot_be(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path):
    """One line, exit code 2, nothing written."""
    given: Any = types.SimpleNamespace(value={})
    for workdir, dry_run, message in [
        (tmp_path / 'runs', True, '--profile traces updates, --dry_run makes none'),
        (None, False, '--workdir=<directory> is needed'),
    ]:
        request = command.Request(workdir and str(workdir), dry_run=dry_run, profile=True)
        assert command.run(given, request) == 2
        shown = capsys.readouterr().err
        assert message in shown
        assert shown.count('\n') == 1
    assert not list(tmp_path.iterdir())
