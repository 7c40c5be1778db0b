"""Plain characters where standard output or error cannot take the field's: × becomes x in Latin-1's or ASCII's stead.

One mechanism for all that is printed, whoever prints it: an error handler of the streams' own encoders.
"""

import codecs
import os
import sys
import unicodedata

HANDLER = 'plain'
SYMBOLS = {
    '×': 'x', '·': '.', '±': '+-', '−': '-', '–': '-', '—': '-', '‖': '||', '≈': '~', '≤': '<=', '≥': '>=', '≠': '!=',
    '∞': 'inf', '√': 'sqrt ', '∇': 'grad ', '∈': 'in', '…': '...', '→': '->', '←': '<-', '↔': '<->', '✓': 'yes',
    '✗': 'no', '²': '^2', '³': '^3', '⁻': '^-', '₋': '_-', '½': '1/2', 'µ': 'u', '’': "'", '‘': "'", '“': '"', '”': '"',
    '⌊': 'floor(', '⌋': ')', '⌈': 'ceil(', '⌉': ')', '⟨': '<', '⟩': '>', '∏': 'prod ', '∂': 'd', '∝': '~', '∘': 'o',
    'ℓ': 'l', '∫': 'integral ', '█': '#', '─': '-', '━': '-', '╸': '-', '╺': '-',
}  # fmt: skip


def plain(character: str) -> str:
    """A character in ASCII: its word, its Greek name, its digit; an escape where there is none."""
    if character in SYMBOLS:
        return SYMBOLS[character]
    name = unicodedata.name(character, '').split()
    if name[:1] == ['GREEK'] and 'LETTER' in name:
        letter = name[name.index('LETTER') + 1].lower()
        return letter.capitalize() if 'CAPITAL' in name else letter
    ascii_only = unicodedata.normalize('NFKD', character).encode('ascii', 'ignore').decode()
    if ascii_only and name and name[0] in ('SUPERSCRIPT', 'SUBSCRIPT', 'MODIFIER', 'VULGAR'):
        return ascii_only
    return character.encode('ascii', 'backslashreplace').decode()


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return ''.join(map(plain, error.object[error.start : error.end])), error.end


codecs.register_error(HANDLER, _replace)


def printed(text: str, encoding: str) -> str:
    """What of a text comes out where that is the encoding."""
    return text.encode(encoding, HANDLER).decode(encoding)


def use() -> None:
    """From here on, what the encodings of standard output and error lack is printed plainly.

    Closed ones (`>&-`) write nowhere: called first, so that no file of ours gets their number.
    """
    for name in ('stdout', 'stderr'):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, 'w', encoding='utf-8'))  # noqa: SIM115 (to the process's end)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, 'reconfigure'):  # a test or a notebook may have put another object there
            stream.reconfigure(errors=HANDLER)  # pyright: ignore[reportAttributeAccessIssue]
