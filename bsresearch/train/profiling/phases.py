"""Which phase of an update an instruction of its compiled program belongs to.

A phase is a named scope of step.py, and `backward` what JAX made by transposing it. A compiled instruction carries one
scope, that of its root, also where the compiler fused work of other phases into it: at B = 1 the weights' gradient is
made inside the instruction that applies it, and counts as the optimizer's. How much of a phase is so mixed is told.
"""

import functools
import re
from collections.abc import Mapping
from typing import NamedTuple

# In the order in which an update goes through them.
PHASES = ('data', 'forward', 'backward', 'optimizer', 'measure')
# Instructions of no scope.
OTHER = 'other'
_CONTROL = ('while', 'conditional', 'call')


class Instruction(NamedTuple):
    """A line of a compiled program.

    Attributes:
      computation: that it stands in. opcode: fusion, dot, while and so on. op_name: of its metadata, None without.
      operands: names of the instructions it reads. calls: the computation it applies, None for none.
    """

    name: str
    computation: str
    opcode: str
    op_name: str | None
    operands: tuple[str, ...]
    calls: str | None


class Place(NamedTuple):
    """Where an instruction belongs. phase: one of PHASES or OTHER. mixed: whether it holds work of other phases too.

    looped: whether it is made at each update, not once a chunk. control: whether it only runs others.
    """

    phase: str
    mixed: bool
    looped: bool
    control: bool


class Program(NamedTuple):
    """A compiled program. module: its name, as traces have it. places: of its instructions, by name."""

    module: str
    places: Mapping[str, Place]


def of_scope(op_name: str | None) -> str | None:
    """`jit(advance)/while/body/transpose(jvp(forward))/…` → backward; None outside all scopes. The innermost counts.

    But a measurement's gradients are a measurement.
    """
    names, transposed = [], False
    for part in (op_name or '').split('/'):
        *transforms, name = part.rstrip(')').split('(')
        transposed |= 'transpose' in transforms
        if name in PHASES and transforms[-1:] != ['jit']:
            names.append(name)
    if 'measure' in names:
        return 'measure'
    return 'backward' if transposed else names[-1] if names else None


def instructions(text: str) -> tuple[dict[str, Instruction], dict[str, str], str]:
    """The instructions of an HLO text by name, the root of each computation, and the name of the entry computation."""
    found, roots, entry, computation = {}, {}, '', ''
    for line in text.splitlines():
        if head := re.match(r'(ENTRY )?%?([\w.-]+) .*\{$', line):
            computation = head[2]
            entry = computation if head[1] else entry
        if not (match := re.match(r'\s+(ROOT )?%?([\w.-]+) = (.*)', line)):
            continue
        root, name, rest = match.groups()
        rest, *attributes = re.split(r'(?<=\)), (?=\w[\w-]*=)', rest, maxsplit=1)
        opcode = re.search(r' ([a-z][\w-]*)\((.*)', f' {rest}')
        if opcode is None:
            continue
        told = re.search(r'op_name="([^"]*)"', line)
        calls = re.search(r'calls=%?([\w.-]+)', attributes[0]) if attributes else None
        operands = tuple(re.findall(r'%([\w.-]+)', opcode[2]))
        made = (opcode[1], told and told[1], operands, calls and calls[1])
        found[name] = Instruction(name, computation, *made)
        if root:
            roots[computation] = name
    return found, roots, entry


def program(text: str) -> Program:
    """Reads a compiled program's text.

    The compiler drops the names of some instructions (products of a matrix and a vector on a CPU). Such a one is of the
    root's phase of what it calls; else of the latest phase that it reads from or, where that is none or data, of the
    earliest that reads it.
    """
    found, roots, entry = instructions(text)
    users: dict[str, list[str]] = {name: [] for name in found}
    inside: dict[str, set[str]] = {}
    for one in found.values():
        for operand in one.operands:
            if operand in users:
                users[operand].append(one.name)
        if phase := of_scope(one.op_name):
            inside.setdefault(one.computation, set()).add(phase)

    def root(one: Instruction) -> str | None:
        if one.op_name is None and one.calls in roots:
            return root(found[roots[one.calls]])
        return one.op_name

    known = {name: root(one) for name, one in found.items()}
    order = PHASES.index

    @functools.cache
    def near(name: str, before: bool) -> str | None:
        if known[name] is not None:
            return of_scope(known[name])
        around = [n for n in found[name].operands if n in found] if before else users[name]
        phases = [phase for n in around if (phase := near(n, before))]
        return (max if before else min)(phases, key=order, default=None)

    def place(one: Instruction) -> Place:
        phase = of_scope(known[one.name])
        if known[one.name] is None:
            phase, after = near(one.name, True), near(one.name, False)
            phase = after or phase if phase in (None, 'data') else phase
        mixed = bool(inside.get(one.calls or '', set()) - {phase})
        return Place(phase or OTHER, mixed, one.computation != entry, one.opcode in _CONTROL)

    module = re.match(r'HloModule ([\w.-]+)', text)
    return Program(module[1] if module else '', {name: place(one) for name, one in found.items()})
