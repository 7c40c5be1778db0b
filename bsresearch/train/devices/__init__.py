"""How replicas and batches lie on devices and processes."""
