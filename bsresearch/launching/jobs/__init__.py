"""Groups as processes: launcher, jobs, worker, status, engines."""
