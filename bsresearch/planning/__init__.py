"""From a declared config to plans: schema, sections, resolving, sweeps, branches, probes."""
