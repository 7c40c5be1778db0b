"""Which checkpoints of a folder are whole, told from the names of their files alone: for lists, without Orbax."""

import json
import pathlib


def _is_complete(step: pathlib.Path) -> bool:
    """Whether all parts of a checkpoint are there, by name: what a kill leaves of one that was being removed is not."""
    try:
        items = json.loads((step / 'meta' / 'metadata').read_text(encoding='utf-8')).get('sha256', {})
        parts = [step / '_CHECKPOINT_METADATA', *(step / i / n for i in items for n in ('_METADATA', 'manifest.ocdbt'))]
        return all(part.is_file() for part in parts) and all(any((step / i).rglob('d/*')) for i in items)
    except (OSError, ValueError, AttributeError):
        return False


def named_steps(directory: pathlib.Path) -> list[int]:
    """Updates that something in a folder of checkpoints is named after, rising, whole or not."""
    return sorted(int(p.name) for p in directory.glob('*') if p.name.isdigit())


def complete_steps(directory: pathlib.Path) -> list[int]:
    """Updates with a complete checkpoint in a folder of checkpoints, rising; nothing is read but names and meta."""
    return [step for step in named_steps(directory) if _is_complete(directory / str(step))]


def latest_step(directory: pathlib.Path) -> int | None:
    """The newest update with a complete checkpoint; None without one."""
    return next((step for step in reversed(named_steps(directory)) if _is_complete(directory / str(step))), None)
