"""Where the time goes: JAX's trace, by phase of an update."""
