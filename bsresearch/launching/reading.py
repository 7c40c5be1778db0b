"""Whether the findings of a study name what it has and what its runs will record, looked at before anything is made."""

from collections.abc import Sequence
from types import ModuleType

import pandas as pd

from bsresearch.analysis import figures, names
from bsresearch.core import lookup
from bsresearch.core.flat import flatten
from bsresearch.launching import fitting
from bsresearch.models import losses
from bsresearch.planning import schema
from bsresearch.planning.plan import Plan
from bsresearch.planning.probe import Probe
from bsresearch.train.observing import metrics, trying

DRAWN, OF_CLAIMS = 'bsresearch.report.figures', ('forest', 'multiverse')
FACTS = ('status', 'declared_learning_rate', 'total_epochs', 'total_updates')  # what readers know of a run beside


def check(
    module: ModuleType, known: names.Known, members: Sequence[Plan | Probe], *, awaits_results: bool
) -> list[str]:
    """`names.check` of findings against the runs and probes of a study; of its special figures also kind and options.

    Args:
      known: without what is recorded. awaits_results: whether there may be other members later.

    Raises:
      ValueError: as there.
    """
    _check_specials(module)
    plans = [member for member in members if isinstance(member, Plan)]
    if not plans:
        return names.check(module, known)
    own = [plan for plan in plans if metrics.own_functions(plan)]
    columns = [fitting.once(trying.check, [plan]) for plan in own]
    there = names.Recorded(
        runs=pd.DataFrame([flatten(plan.resolved()) for plan in plans]),
        fields=[*FACTS, *flatten(schema.known()), *(f for plan in plans for f in flatten(plan.declared))],
        columns=None if None in columns else {column for of_plan in columns for column in of_plan or ()},
        probes=None if awaits_results else {member.name for member in members if isinstance(member, Probe)},
        classes=any(losses.classifies(plan.loss['name'], plan.num_outputs) for plan in plans),
    )
    return names.check(module, known._replace(recorded=there))


def _check_specials(module: ModuleType) -> None:
    """Raises ValueError for a kind of figure, or an option of one, that there is not."""
    for figure in module.FIGURES:
        try:
            if figure.kind not in lookup.members(DRAWN, 'draw'):
                raise lookup.unknown('kind of figure', figure.kind, lookup.members(DRAWN, 'draw'), own=False)
            if figure.options and figure.kind not in (*names.GENERAL, *OF_CLAIMS):
                drawn = lookup.module(DRAWN, 'draw', figure.kind, 'kind of figure')
                figures.options(figure, getattr(drawn, 'OPTIONS', {}))
        except ValueError as e:
            raise ValueError(f'{names.place(module, figure.kind)}: {e}') from e
