"""What pyproject.toml cannot say: configs/ and scripts/ lie beside the package, and within it where it is installed."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=['bsresearch*']), 'bsresearch.configs', 'bsresearch.scripts'],
    package_dir={'bsresearch.configs': 'configs', 'bsresearch.scripts': 'scripts'},
)
