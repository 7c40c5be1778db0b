"""What is kept of a group, and how it starts, goes on or branches from it."""
