"""Closed forms in NumPy float64, against which runs and estimators are checked. No JAX."""
