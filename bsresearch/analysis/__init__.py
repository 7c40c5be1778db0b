"""Records → tables: means and intervals over seeds, fits. NumPy and pandas, no JAX."""
