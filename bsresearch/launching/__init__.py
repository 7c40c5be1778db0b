"""From plans to finished runs: groups, estimates, the runner, probes, jobs."""
