"""Which phase of an update each instruction of its compiled program belongs to.

A phase is a named scope of step.py, and `backward` what JAX made by transposing it. JAX writes the scopes into the
program's text, as `op_name` of each instruction; no more of the text is read than names, loops and what a fusion calls.
A fused instruction counts as its root's phase: at B = 1 the weights' gradient is made inside the instruction that
applies it, and counts as the optimizer's. How much of a phase is so mixed stands in the table.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

# In the order in which an update goes through them.
PHASES = ('data', 'forward', 'backward', 'optimizer', 'measure')
# Instructions of no scope.
OTHER = 'other'
_COMPUTATION = re.compile(r'(ENTRY )?%?([\w.-]+) .*\{$')
_INSTRUCTION = re.compile(r'\s+(ROOT )?%?([\w.-]+) = ')
_CONTROL = re.compile(r' (while|conditional|call)\(')


class Instruction(NamedTuple):
    """phase: one of PHASES or OTHER. mixed: whether it holds work of other phases too.

    looped: whether it is made at each update, not once a chunk. control: whether it only runs others.
    """

    phase: str
    mixed: bool
    looped: bool
    control: bool


def of_scope(op_name: str) -> str | None:
    """`jit(advance)/while/body/transpose(jvp(forward))/…` → backward; None outside all scopes. The innermost counts.

    But a measurement's gradients are a measurement.
    """
    names, transposed = [], False
    for part in op_name.split('/'):
        *transforms, name = part.rstrip(')').split('(')
        transposed |= 'transpose' in transforms
        if name in PHASES and transforms[-1:] != ['jit']:
            names.append(name)
    if 'measure' in names:
        return 'measure'
    return 'backward' if transposed else names[-1] if names else None


def of_program(text: str) -> dict[str, Instruction]:
    """The instructions of a compiled program's text, by name."""
    bodies: dict[str, dict[str, str]] = defaultdict(dict)  # by computation, then by instruction: its line
    roots, computation, entry = {}, '', ''
    for line in text.splitlines():
        if head := _COMPUTATION.match(line):
            computation = head[2]
            entry = computation if head[1] else entry
        elif instruction := _INSTRUCTION.match(line):
            bodies[computation][instruction[2]] = line
            if instruction[1]:
                roots[computation] = line
    result = {}
    for computation, body in bodies.items():
        phases = _phases(body, {name: _op_name(line, roots) for name, line in body.items()})
        for name, line in body.items():
            inside = {of_scope(_op_name(called, {}) or '') for called in bodies.get(_called(line), {}).values()}
            mixed = bool(inside - {None, phases[name]})
            control = bool(_CONTROL.search(line))
            result[name] = Instruction(phases[name] or OTHER, mixed, computation != entry, control)
    return result


def _called(line: str) -> str:
    called = re.search(r'calls=%?([\w.-]+)', line)
    return called[1] if called else ''


def _op_name(line: str, roots: Mapping[str, str]) -> str | None:
    """An instruction's, or that of the root of what it calls."""
    op_name, root = re.search(r'op_name="([^"]*)"', line), roots.get(_called(line))
    return op_name[1] if op_name else root and _op_name(root, roots)


def _phases(body: dict[str, str], op_names: Mapping[str, str | None]) -> dict[str, str | None]:
    """Of the instructions of a computation, where each stands after what it reads.

    The compiler drops the names of some (products of a matrix and a vector on a CPU). Such a one is of the latest phase
    that it reads from or, where that is none or data, of the earliest that reads it.
    """
    named = {name: of_scope(op_name) for name, op_name in op_names.items() if op_name is not None}
    reads = {name: [n for n in re.findall(r'%([\w.-]+)', line)[1:] if n in body] for name, line in body.items()}
    before, after, readers = dict(named), dict(named), defaultdict(list)
    for name in body:
        if name not in named:
            before[name] = max(filter(None, map(before.get, reads[name])), key=PHASES.index, default=None)
    for name in reversed(body):
        if name not in named:
            after[name] = min(filter(None, readers[name]), key=PHASES.index, default=None)
        for operand in reads[name]:
            readers[operand].append(after[name])
    return {name: before[name] if before[name] not in (None, 'data') else after[name] or before[name] for name in body}
