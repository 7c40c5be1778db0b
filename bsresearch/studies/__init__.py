"""One kind of question per file: `stages(plans)` yields lists of Plans or of Probes, each from the last one's results.

A study may also have `check(plans)`, which raises ValueError before anything is done, and `conclude(workdir, plans,
say)`, called when all stages are done: it prints what was found. `SECTIONS` names the fields of `config.probe` and
`config.branch` that it makes something of (study.py): what it does not name is refused.
"""
