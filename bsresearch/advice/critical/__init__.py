"""Critical batch sizes by the definitions there are, side by side, and where they disagree."""
