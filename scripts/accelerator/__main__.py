"""One process of a measurement: `python -m scripts.accelerator <work as JSON>` prints the rows of a part."""

import importlib
import json
import sys

from bsresearch.launching import compilation_cache

from .work import MARK, Work


def main(text: str) -> None:
    """Makes the part."""
    work = Work.of_json(text)
    compilation_cache.use()  # of this measurement alone, as the door has it
    for row in importlib.import_module(f'{__package__}.{work.part}').rows(work):
        print(MARK + json.dumps(row), flush=True)


if __name__ == '__main__':
    main(sys.argv[1])
