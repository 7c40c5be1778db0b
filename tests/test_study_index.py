"""The index of kept studies is what their records say."""

import pathlib

import pytest

from bsresearch.report import index

STUDIES = pathlib.Path(__file__).parents[1] / 'docs' / 'studies'


@pytest.mark.slow
def test_the_index_is_what_the_kept_records_come_to():
    """All claims are judged anew; when to change it: run `python -m scripts.study_index`."""
    assert (STUDIES / 'index.md').read_text(encoding='utf-8') == index.text(STUDIES)


def test_a_folder_without_studies_is_refused(tmp_path: pathlib.Path):
    with pytest.raises(FileNotFoundError, match='holds no study'):
        index.text(tmp_path)
