"""One file per published study: its question, claims and figures. Data: nothing is computed or drawn there.

`QUESTION`; `SOURCE`, the study in a few words; `CLAIMS`, statements (analysis/statements.py); `FIGURES`, declarations
(analysis/figures.py); `HEADLINE`, the key of the claim and the number of the figure that a report opens with. A config
names its findings: `c.findings = 'shen'`, or a file of one's own.
"""

import importlib
import pathlib
import re
import types
from typing import Any

from bsresearch.analysis.figures import Figure
from bsresearch.analysis.statements import Statement
from bsresearch.core import lookup, own_part

PARTS = ('QUESTION', 'SOURCE', 'CLAIMS', 'FIGURES', 'HEADLINE')


def members() -> tuple[str, ...]:
    """Names of the files here that have claims; none is imported."""
    folder = pathlib.Path(__file__).parent
    claims = re.compile(r'^CLAIMS\b', re.MULTILINE)
    return tuple(sorted(p.stem for p in folder.glob('*.py') if claims.search(p.read_text(encoding='utf-8'))))


def is_own(name: str) -> bool:
    """Whether a name is that of a file or a module of one's own; an import path is that of a study."""
    return ('.' in name or '/' in name) and not own_part.is_path(name)


def load(name: str) -> types.ModuleType:
    """The findings of a name, or of a file of one's own (modules that lie beside it can be imported there).

    Raises:
      ValueError: there are none, with the nearest name; an error in the file, with its line; a part that is missing or
        is not what it should be. One line each.
    """
    if is_own(name):
        is_file = name.endswith('.py') or '/' in name
        module = (own_part.of_file if is_file else own_part.package)(name, 'findings')
    elif name in members():
        module = importlib.import_module(f'{__name__}.{name}')
    else:
        raise ValueError(
            f'no findings {name!r}; {lookup.nearest(name, members())}, or your own: mine/{name}.py or mine.{name}'
        )
    _check(module, name)
    return module


def _check(module: types.ModuleType, name: str) -> None:
    if missing := [part for part in PARTS if not hasattr(module, part)]:
        raise ValueError(f'findings {name}: {", ".join(missing)} is missing; a findings file has {", ".join(PARTS)}')
    for part in ('QUESTION', 'SOURCE'):
        if not isinstance(getattr(module, part), str) or not getattr(module, part):
            raise ValueError(f'findings {name}: {part} = {getattr(module, part)!r}: a text is needed')
    for part, kind in (('CLAIMS', Statement), ('FIGURES', Figure)):
        value = getattr(module, part)
        if not isinstance(value, tuple) or not value or not all(isinstance(one, kind) for one in value):
            raise ValueError(
                f'findings {name}: {part}: a tuple of one {kind.__name__} at least is needed; (one,) is one'
            )
    keys = [claim.key for claim in module.CLAIMS]
    if twice := {key for key in keys if keys.count(key) > 1}:
        raise ValueError(f'findings {name}: claim {min(twice)!r} stands there twice; give one another key')
    _check_headline(module.HEADLINE, keys, len(module.FIGURES), name)


def _check_headline(headline: Any, keys: list[str], figures: int, name: str) -> None:
    if not isinstance(headline, tuple) or len(headline) != 2:
        raise ValueError(f"findings {name}: HEADLINE = {headline!r}: ('key of a claim', number of a figure) is needed")
    if headline[0] not in keys:
        raise ValueError(
            f'findings {name}: HEADLINE: no claim {headline[0]!r}; {lookup.nearest(str(headline[0]), keys)}'
        )
    if headline[1] not in range(figures):
        raise ValueError(f'findings {name}: HEADLINE: no figure {headline[1]!r}; there are 0 to {figures - 1}')
