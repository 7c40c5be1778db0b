"""The forest of a report: drawings against their numbers, the scale that rows share, the one number of a row."""

import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from bsresearch.analysis import verdicts
from bsresearch.analysis.contrasts import minus
from bsresearch.analysis.of_runs import final
from bsresearch.analysis.quantity import PERCENT, PLAIN, SHARE, TIMES
from bsresearch.analysis.statements import Judged, Statement, Verdicts
from bsresearch.analysis.verdicts import Interval
from bsresearch.report import forest, svg
from bsresearch.report.svg import Line


def line(centre: float, low: float, high: float, label: str = 'a − b', unit=PERCENT, difference: bool = True) -> Line:
    return Line(label, Interval(centre, low, high, 3), unit, difference)


def drawn(lines: list[Line], bounds: tuple[float, float], on: svg.Scale) -> ElementTree.Element:
    """The drawing as XML: it is well-formed."""
    return ElementTree.fromstring(svg.draw(lines, bounds, on))


def number(element: ElementTree.Element, name: str) -> float:
    return float(element.get(name, 'nan'))


def of_class(root: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    return [e for e in root.iter() if kind in (e.get('class') or '').split()]


def test_positions_are_linear_in_the_numbers() -> None:
    """Interval ends, centre and the shaded bound lie where a line through two ticks puts them."""
    lines = [line(0.01, -0.02, 0.04), line(0.03, 0.02, 0.04)]
    on = svg.scale(lines, (0.0, np.inf))
    assert on is not None
    root = drawn(lines, (0.0, np.inf), on)
    (first, second), dots = of_class(root, 'interval'), of_class(root, 'dot')
    (v0, _), (v1, _) = on.ticks[0], on.ticks[-1]
    expected = lambda v: on.x(v0) + (on.x(v1) - on.x(v0)) * (v - v0) / (v1 - v0)
    near = lambda value: pytest.approx(expected(value), abs=0.11)  # drawn to a tenth of a pixel
    assert [number(first, 'x1'), number(first, 'x2'), number(second, 'x1')] == [
        near(-0.02),
        near(0.04),
        near(0.02),
    ]
    assert [number(d, 'cx') for d in dots] == [near(0.01), near(0.03)]
    (shaded,) = of_class(root, 'claimed')
    assert number(shaded, 'x') == near(0.0)
    assert number(shaded, 'x') + number(shaded, 'width') == pytest.approx(svg.WIDTH)


def test_what_differs_from_a_number_lies_on_either_side() -> None:
    """All is shaded but a gap at the number."""
    lines = [line(0.03, 0.02, 0.04)]
    on = svg.scale(lines, (0.0, 0.0))
    assert on is not None
    below, above = of_class(drawn(lines, (0.0, 0.0), on), 'claimed')
    assert (number(below, 'x'), number(above, 'x') + number(above, 'width')) == (0.0, pytest.approx(svg.WIDTH))
    assert number(below, 'width') < on.x(0.0) < number(above, 'x')
    assert number(above, 'x') - number(below, 'width') == pytest.approx(2 * svg.BESIDE, abs=0.11)


def test_ticks_are_round_in_the_unit_that_readers_see() -> None:
    """Points of accuracy, and factors of a logarithm."""
    on = svg.scale([line(0.012, 0.004, 0.043)], (0.0, np.inf))
    assert on is not None
    for value, text in on.ticks:
        assert float(text.replace('−', '-')) == pytest.approx(100 * value)
    factors = svg.scale([line(np.log(5), np.log(2), np.log(40), unit=TIMES)], (np.log(3), np.inf))
    assert factors is not None
    assert len(factors.ticks) >= 2
    assert all(float(text.replace(',', '')) == pytest.approx(np.exp(value)) for value, text in factors.ticks)
    shares = svg.scale([line(np.log(0.05), np.log(0.01), np.log(0.3), unit=SHARE._replace(exp=True))], (-np.inf, 0.0))
    assert shares is not None
    assert all(float(text.replace(',', '')) == pytest.approx(100 * np.exp(value)) for value, text in shares.ticks)


def test_an_axis_has_the_unit_of_its_numbers() -> None:
    """Of a share, of a factor and of the logarithm of a share: what is written beside and along the axis are one."""
    for unit, value in ((SHARE, 0.05), (TIMES, np.log(5.0)), (SHARE._replace(exp=True), np.log(0.05))):
        assert unit.show(value, unit=False) == f'{unit.scaled(value):.3g}'


def test_an_interval_that_goes_on_ends_in_an_arrow() -> None:
    """Of two replicates an interval is as wide as fifty others: it does not set the scale."""
    narrow = [line(0.01 * i, 0.01 * i - 0.005, 0.01 * i + 0.005) for i in range(4)]
    wide = line(0.02, -2.0, 2.04)
    on = svg.scale([*narrow, wide], (0.0, np.inf))
    assert on is not None
    assert on.high - on.low < 0.2
    root = drawn([wide], (0.0, np.inf), on)
    assert len(of_class(root, 'dot')) == 3  # the centre, an arrow on either side
    assert not [d for d in of_class(drawn([narrow[0]], (0.0, np.inf), on), 'dot') if d.tag.endswith('path')]


def test_what_is_not_finite_is_told_and_not_drawn() -> None:
    lines = [line(np.nan, np.nan, np.nan, 'gone')._replace(interval=Interval(np.nan, np.nan, np.nan, 0)),
             line(np.inf, np.nan, np.nan, 'never'), line(0.1, np.nan, np.nan, 'one seed')]  # fmt: skip
    on = svg.scale(lines, (0.0, np.inf))
    assert on is not None
    root = drawn(lines, (0.0, np.inf), on)
    assert [e.text for e in of_class(root, 'label')] == ['gone: not measured', 'never: ∞', 'one seed']
    assert len(of_class(root, 'dot')) == 1
    assert svg.scale(lines[:2], (0.0, np.inf)) is None


def test_of_an_infinite_estimate_the_finite_end_is_drawn() -> None:
    """A median of runs that mostly did not arrive: an arrow, and a line to the end that is known."""
    lines = [line(-np.inf, -np.inf, 0.3, 'few arrived'), line(0.1, 0.0, 0.2, 'all')]
    on = svg.scale(lines, (0.0, 0.5))
    assert on is not None
    root = drawn(lines[:1], (0.0, 0.5), on)
    assert [e.text for e in of_class(root, 'label')] == ['few arrived']
    assert [(number(e, 'x1'), number(e, 'x2')) for e in of_class(root, 'interval')] == [(on.x(on.low), on.x(0.3))]
    assert [d.tag.rpartition('}')[2] for d in of_class(root, 'dot')] == ['path']


def test_places_are_dots_without_a_line() -> None:
    places = Line('best', Interval(16, 8, 32, 3, 'set'), PLAIN, False, (16, 8, 32))
    on = svg.scale([places], (-np.inf, 64))
    assert on is not None
    root = drawn([places], (-np.inf, 64), on)
    assert not of_class(root, 'interval')
    assert sorted(number(d, 'cx') for d in of_class(root, 'dot')) == [on.x(8), on.x(16), on.x(32)]


def test_no_label_lies_outside_its_drawing() -> None:
    """Beside the interval where it fits, else above it: at most 6 pixels a character."""
    labels = ['a − b', 'a rather long name − another long name', 'x' * 60]
    for label in labels:
        for low, high in ((0.0, 0.01), (0.09, 0.1), (0.0, 0.1), (0.03, 0.07)):
            lines = [line(0.05, 0.0, 0.1, ''), line((low + high) / 2, low, high, label)]
            on = svg.scale(lines, (0.0, np.inf))
            assert on is not None
            (text,) = of_class(drawn(lines, (0.0, np.inf), on), 'label')
            x, width = number(text, 'x'), svg.CHARACTER * len(label)
            left = {'start': x, 'middle': x - width / 2, 'end': x - width}[str(text.get('text-anchor'))]
            assert left >= -0.1
            assert left + width <= svg.WIDTH + 0.1


def judged(values: list[list[float]], low: float = 0.0, key: str = 'A', high: float = np.inf, **said: Any) -> Verdicts:
    """A claim that each of the differences lies above `low`."""
    quantity, contrast = final('test_accuracy'), minus('a', 'b')[0]
    statement = Statement(
        key, 'figure 1', 'A is above b (≈97.9 and 95 % at B = 64), and so on.', quantity, (contrast,), low, high, **said
    )
    parts = [verdicts.of(f'part {i}', v) for i, v in enumerate(values)]
    each = verdicts.each(parts, low, high)
    made = tuple(
        Judged(contrast, quantity, part, verdicts.interval(part), verdict, 0.02)
        for part, verdict in zip(parts, each, strict=True)
    )
    return Verdicts(statement, verdicts.together(*each), made, ('a remark',))


def test_the_one_number_is_that_on_which_the_verdict_hangs() -> None:
    """Of a claim that holds the one nearest to its bound; of one that is undecided the undecided one."""
    near, far, open_ = [0.011, 0.012, 0.013], [0.05, 0.051, 0.052], [-0.01, 0.03, 0.05]
    assert forest.of_verdicts(judged([far, near]), 'Doe', 3).number == '+1.20 points'
    row = forest.of_verdicts(judged([far, open_, near]), 'Doe', 3)
    assert (row.verdict, row.number) == ('undecided', '+2.33 points')


def test_the_least_clear_is_the_interval_that_ends_nearest_to_a_bound() -> None:
    """Of parts that hold: not the centre, which lies nearer to a bound in the other part."""
    central, wide = [0.0039, 0.004, 0.0041], [-0.006, -0.0035, -0.001]
    row = forest.of_verdicts(judged([central, wide], low=-0.01, high=0.01), 'Doe', 3)
    assert (row.verdict, row.number) == ('holds', '−0.35 points')
    assert row.deciding.startswith('part 1: −0.35 points (')
    assert row.smallest == '2.00 points'


def test_what_was_said_and_asked_after_the_runs_is_marked() -> None:
    said, asked = 'size: too few', judged([[0.011, 0.012, 0.013]], key='B', later=True)
    rows = [forest.of_verdicts(v, 'Doe', 3) for v in (judged([[-0.01, 0.03, 0.05]], reason=said), asked)]
    block = forest.block(rows, 'note')
    assert [('size: too few' in part, forest.LATER in part) for part in block.html.split('<details')[1:]] == [
        (True, False),
        (False, True),
    ]
    first, second = (line.split(' | ') for line in block.markdown.splitlines() if line.startswith(('| ?', '| ✓')))
    assert (first[4].rstrip(' |'), forest.LATER in first[2]) == (said, False)
    assert forest.LATER in second[2]
    assert forest.SINCE.lower() in block.markdown.splitlines()[2]


def test_a_row_has_the_sentence_without_the_sources_numbers() -> None:
    row = forest.of_verdicts(judged([[0.011, 0.012, 0.013]]), 'Doe', 3)
    assert row.short == 'A is above b, and so on.'
    assert row.source == 'figure 1'  # the findings' own source stands above all rows
    page = forest.block([row], 'note').html
    summary, _, folded = page.partition('</summary>')
    assert '97.9' not in summary
    for part in ('≈97.9 and 95 %', '+1.20 points (+0.95 to +1.45)', 'a remark', 'figure 1'):
        assert part in folded


def test_n_is_told_where_it_is_another() -> None:
    row = forest.of_verdicts(judged([[0.011, 0.012, 0.013]]), 'Doe', 3)
    assert not any('n =' in number for number in row.numbers)
    assert 'n = 3' in forest.of_verdicts(judged([[0.011, 0.012, 0.013]]), 'Doe', 4).numbers[0]


def test_rows_of_a_unit_share_a_scale_unless_they_would_be_small() -> None:
    """The tick at 0 lies at one place in both; a row of a fiftieth of the size has its own."""
    rows = [forest.of_verdicts(judged([[v, v + 0.001, v + 0.002]], key=str(v)), 'Doe', 3) for v in (0.05, 0.04, 0.0)]
    small = forest.of_verdicts(judged([[0.0011, 0.0012, 0.0013]], key='small'), 'Doe', 3)
    zero = lambda row: re.search(r'class="tick zero" x1="([\d.]+)"', row)
    texts = forest.block([*rows, small], '').html.split('<details')[1:]
    places = [found[1] for text in texts if (found := zero(text))]
    assert places[0] == places[1]
    ticks = [re.findall(r'class="number"[^>]*>([^<]*)<', text) for text in texts]
    assert ticks[0] == ticks[1] != ticks[3]


def test_a_tally_counts_every_verdict() -> None:
    rows = [
        forest.of_verdicts(judged([v]), '', 3)
        for v in ([0.011, 0.012, 0.013], [0.011, 0.012, 0.014], [-0.01, 0.03, 0.05])
    ]
    assert forest.tally(rows) == [('holds', 2), ('undecided', 1)]
