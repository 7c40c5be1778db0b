"""Statistical models that an advice is made from, each with its own posterior."""
