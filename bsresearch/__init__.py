"""bsresearch: what the batch size does to training."""

from bsresearch.planning import schema

__all__ = ['schema']
__version__ = '0.1.0'
