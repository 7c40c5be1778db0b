"""Runs on disk: records, checkpoints, leases."""
