"""The index of kept studies is what their records say."""

import pathlib
import re

import pandas as pd
import pytest

from bsresearch import findings
from bsresearch.report import contradictions, index
from scripts import study_index

STUDIES = pathlib.Path(__file__).parents[1] / 'docs' / 'studies'


@pytest.mark.slow
def test_the_pages_are_what_the_kept_records_come_to():
    """All claims are judged anew; when to change it: run `python -m scripts.study_index`."""
    pages = study_index.pages(STUDIES)
    open_ = pages[STUDIES / 'failed_claims.md']
    failed = [line for line in open_.split('## ↔')[0].splitlines() if line.startswith('| [')]
    assert failed
    assert all(line.split(' | ')[4].strip(' |') for line in failed)  # a reason
    assert len(pages) == 3
    assert {file: file.read_text(encoding='utf-8') for file in pages} == pages


def test_every_claim_that_a_side_makes_is_one_of_its_findings():
    for one in contradictions.CONTRADICTIONS:
        for name, key in (claim for side in one.sides for claim in side.claims):
            assert key in {claim.key for claim in findings.load(name).CLAIMS}, (name, key)


def test_a_folder_without_studies_is_refused(tmp_path: pathlib.Path):
    with pytest.raises(FileNotFoundError, match='holds no study'):
        index.each(tmp_path)


def test_no_kept_study_names_a_folder_of_a_machine():
    """Of any file of a run, and of pages and tables: no text that begins as an absolute path."""
    absolute = re.compile(rb'["`| ]/[a-z]+/[^"`| ]')
    contents = [(f, f.read_bytes()) for f in STUDIES.rglob('*') if f.suffix in ('.md', '.json', '.csv')]
    for folder in (f.parent for f in STUDIES.glob('*/files.parquet')):
        contents += [(folder / path, content) for path, content in pd.read_parquet(folder / 'files.parquet').to_numpy()]
    assert len(contents) > 1000
    assert [str(file) for file, content in contents if file.suffix != '.npz' and absolute.search(content)] == []
