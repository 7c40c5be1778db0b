"""What pyproject.toml cannot say: configs/ and scripts/ lie beside the package, and within it where it is installed."""

from setuptools import find_packages, setup

BESIDE = {f'bsresearch.{place.replace("/", ".")}': place for place in ('configs', 'scripts', 'scripts/accelerator')}

setup(
    packages=[*find_packages(include=['bsresearch*']), *BESIDE],
    package_dir=BESIDE,
)
