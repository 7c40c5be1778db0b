"""What training tells its caller."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Lines for the user, and how far a group is."""

    def say(self, text: str) -> None:
        """One line for the user."""

    def progress(self, step: int, updates_per_second: float, last: dict[str, tuple[Any, float]]) -> None:
        """All replicas stand at θ_step; `last`: metric → the newest value of the first, and at which epoch that was."""
