"""Memory and operations, computed from shapes alone."""
