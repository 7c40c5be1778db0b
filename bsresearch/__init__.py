"""bsresearch: what the batch size does to training."""

__version__ = '0.1.0'
