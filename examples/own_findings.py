"""What is claimed of the runs of own_config.py. Each claim is put to a 95 % interval over the seeds.

    bsresearch run --config=examples/own_config.py --config.findings=examples/own_findings.py --workdir=runs/own

The config names this file already; `--config.findings=` puts the same runs to another one (docs/studies.md).
"""

from bsresearch.analysis.contrasts import at, minus
from bsresearch.analysis.figures import curves, versus
from bsresearch.analysis.of_runs import final
from bsresearch.analysis.statements import Statement

SOURCE = 'my notebook'
QUESTION = 'On two spirals, does a large batch catch up at a rate that grows as the batch does?'

small, large = at(batch_size=8, learning_rate=0.05), at(batch_size=128, learning_rate=0.05)
fast = at(batch_size=128, learning_rate=0.8)
TEST = final('test_accuracy')

CLAIMS = (
    Statement('lower', 'page 3', 'At one rate the large batch ends lower.', TEST, minus(small, large), low=0),
    Statement(
        'as good', 'page 4', 'At 16 times the rate it ends within 5 points.', TEST, minus(small, fast), -0.05, 0.05
    ),
)
FIGURES = (
    curves('test_accuracy', 'gradient_sign_agreement'),
    versus(final('gradient_sign_agreement'), x='batch_size', by='learning_rate'),
)
HEADLINE = ('lower', 0)
