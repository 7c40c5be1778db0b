"""What a user types: configs by name, one command with its parts, what it says where it cannot go on."""

import pathlib

import pytest

from bsresearch.launching import config_files

ROOT = pathlib.Path(__file__).parent.parent


def test_a_config_has_a_name_in_any_directory(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """A file that lies here is meant only where it is given as a path; what follows a colon is the config's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'quickstart.py').write_text('')
    shipped = str(ROOT / 'configs' / 'quickstart.py')
    assert config_files.path('quickstart') == shipped
    assert config_files.path('quickstart:64') == f'{shipped}:64'
    for own in ('quickstart.py', './quickstart.py', f'{tmp_path}/quickstart.py'):
        assert config_files.path(own) == own
    assert set(config_files.names()) == {file.stem for file in (ROOT / 'configs').glob('*.py')}


def test_an_unknown_config_names_the_known_and_the_nearest(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """Away from the checkout too, where a relative path of it leads nowhere."""
    monkeypatch.chdir(tmp_path)
    known = ', '.join(config_files.names())
    with pytest.raises(ValueError, match=f"^no config 'quikstart'; did you mean 'quickstart'\\? Allowed: {known}$"):
        config_files.path('quikstart')
    with pytest.raises(ValueError, match=r"^no config file 'configs/shem\.py' here; .*did you mean 'shen'"):
        config_files.path('configs/shem.py')
    (tmp_path / 'own.py').write_text('')
    with pytest.raises(ValueError, match=r"^no config 'own'; the file here is --config=\./own\.py; allowed: "):
        config_files.path('own')
