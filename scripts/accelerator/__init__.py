"""Parts of `scripts.measure_accelerator`, each made in a process of its own (work.py)."""
