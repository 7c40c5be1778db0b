"""What is computed from records, one quantity a file. No JAX."""
