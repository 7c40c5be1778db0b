"""The claims of Shen's article and what the runs of the study `shen` say to them.

K. Shen, "Effect of batch size on training dynamics" (2018). A: batch size; B: a higher rate; C: switches; D: gradient
norms; E: distance; F: the line between two solutions. What has no data in the workdir is 'not measured'.
"""

import pathlib

from bsresearch.analysis import shen, shen_accuracy, shen_distance, shen_gradient_norm  # fmt: skip
from bsresearch.analysis.claims import Claim
from bsresearch.analysis.quantities import gradient_norm, interpolation
from bsresearch.store import probe_records


def claims(workdir: str | pathlib.Path) -> list[Claim]:
    """All of them, in the article's order.

    Raises:
      FileNotFoundError: no runs of the study. ValueError: runs that are no such study (shen.load).
    """
    study = shen.load(workdir)
    (parent,) = study.role('large')
    # Runs that probes were made at stand in the records even where they have no rows yet.
    seed_of = dict(zip(parent.runs['run'], shen.pairs(parent.runs), strict=True))
    try:
        norms = gradient_norm.of_probes(probe_records.load(workdir, 'gradient_norm'))
    except FileNotFoundError:
        norms = []
    try:
        lines = interpolation.of_probes(probe_records.load(workdir, 'interpolation'))
    except FileNotFoundError:
        lines = []
    single = all(len(a.runs) == 1 for a in (*study.arms, *study.branches))
    over_seeds = [
        *shen_accuracy.claims(study),
        *shen_distance.claims(study),
        *shen_distance.line_claims(lines, seed_of, {r for a in study.role('small') for r in a.runs['run']}),
    ]
    if single:
        over_seeds = [_without_interval(c) for c in over_seeds]
    found = [*over_seeds, *shen_gradient_norm.claims(norms, seed_of, parent.learning_rate)]
    return sorted(found, key=lambda c: c.key[0])


def _without_interval(claim: Claim) -> Claim:
    """Says why the verdict is open."""
    return claim._replace(remark='; '.join(r for r in (claim.remark, 'one seed: no interval') if r))
