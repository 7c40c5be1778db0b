"""`python together.py CASES ENVIRONMENT…`: commands one after another in the processes of one launch, without a kill.

CASES: JSON, name → [[main.py's arguments, workdir] of each process]. Beside it each process leaves
<name>-<process>.json: exit code and what was said. ENVIRONMENT: JSON, of each process what Slurm puts there, by which
they find each other.
"""

import contextlib
import io
import json
import os
import pathlib
import sys

import jax
from absl import flags

from bsresearch.launching import command, flag_parser, multihost


def run(arguments: list[str], workdir: str) -> int:
    """The exit code of a command of this process, which has found the others already."""
    sys.argv = ['main.py', *arguments]  # ml_collections looks for overrides there
    values = flags.FlagValues()
    flag_parser.define_config(values)
    flag_parser.parser('main.py', values)(sys.argv)
    return command._run(values['config'], command.Request(workdir=workdir))


def run_all(file: str) -> int:
    """All cases; each process writes what came of its part."""
    multihost.SHARED_SECONDS = 1.0
    for name, case in json.loads(pathlib.Path(file).read_text(encoding='utf-8')).items():
        index = jax.process_index()
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = run(*case[index])
        (pathlib.Path(file).parent / f'{name}-{index}.json').write_text(
            json.dumps([code, said.getvalue()]), encoding='utf-8'
        )
    return 0


if __name__ == '__main__':
    for environment in sys.argv[2:]:
        if not os.fork():  # JAX has started nothing yet, and is imported once
            os.environ |= json.loads(environment)
            os._exit(multihost.run(lambda: run_all(sys.argv[1]), None, None, None, 60))
    sys.exit(max(os.waitstatus_to_exitcode(os.wait()[1]) for _ in sys.argv[2:]))
