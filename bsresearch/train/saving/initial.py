"""The weights that a group's distances are measured from: stored once, apart from the checkpoints that rotate.

They are a function of the runs' seeds, or of other runs' weights, so what is damaged is made anew; it must then have
the sha256 of what was lost, where that is still written somewhere.
"""

import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from bsresearch.planning.plan import Plan
from bsresearch.store.checkpoints import Checkpoints, DamagedCheckpoint, digest
from bsresearch.train.devices import processes
from bsresearch.train.saving import branching, fine_tuning

PyTree = Any


class Initial:
    """Of one group, for all processes together: each method is called by all of them, in step.

    Args:
      plans: the group's runs. run_directories: theirs. directory: the group's. say: for one line.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        directory: pathlib.Path,
        run_directories: Sequence[pathlib.Path],
        say: Callable[[str], None],
    ):
        self._plans, self._directory, self._run_directories, self._say = plans, directory, run_directories, say
        # Of what was loaded, for checkpoints to note.
        self.sha256: dict[str, str] = {}

    def begin(
        self, fresh: dict[str, PyTree], known: Mapping[str, str] | None = None
    ) -> tuple[dict[str, PyTree], dict[str, PyTree]]:
        """A checkpoint's items at the runs' first update, which for a branch are its parent's; and `params` and, of
        branches, `branch`: weights that distances are measured from; with weights of another run also `stats`.

        Args:
          fresh: the items at update 0, replicas stacked. known: as `kept` has it.
        """

        def begun() -> tuple[dict[str, PyTree], Any]:
            items, origins = self._make(fresh)
            return items, self._kept(fresh, lambda: origins, known)

        items, (origins, self.sha256) = processes.share(begun)
        return items, origins

    def resume(self, fresh: dict[str, PyTree], known: Mapping[str, str]) -> dict[str, PyTree]:
        """Only the weights that distances are measured from; of a branch no parent is asked for them."""
        origins, self.sha256 = processes.share(lambda: self._kept(fresh, lambda: self._make(fresh)[1], known))
        return origins

    def _make(self, fresh: dict[str, PyTree]) -> tuple[dict[str, PyTree], dict[str, PyTree]]:
        if self._plans[0].init_from is not None:
            items = fine_tuning.begin(fresh, self._plans, self._run_directories, self._say)
            state = items['state']
            return items, {'params': state.params} | ({'stats': state.stats} if state.stats else {})
        items, origins = branching.begin(fresh, self._plans, self._run_directories, self._say)
        branches = {'branch': origins.branch} if self._plans[0].parent is not None else {}
        return items, {'params': origins.initial} | branches

    def _kept(
        self, fresh: dict[str, PyTree], make: Callable[[], Mapping[str, PyTree]], known: Mapping[str, str] | None
    ) -> tuple[dict[str, PyTree], dict[str, str]]:
        state = fresh['state']
        like = {'params': state.params}
        if self._plans[0].parent is not None:
            like['branch'] = state.params
        if self._plans[0].init_from is not None and state.stats:
            like['stats'] = state.stats
        return kept(self._directory / 'initial', like, make, self._say, known)


def kept(
    directory: pathlib.Path,
    like: Mapping[str, PyTree],
    make: Callable[[], Mapping[str, PyTree]],
    say: Callable[[str], None],
    known: Mapping[str, str] | None = None,
) -> tuple[dict[str, PyTree], dict[str, str]]:
    """What is stored in a folder at update 0, and its sha256; `make`'s where there is nothing whole.

    Args:
      like: its structure, shapes and dtypes.
      say: told in one line of what was made anew.
      known: the sha256 that a checkpoint noted; None at the runs' first start.

    Raises:
      ValueError: what is damaged cannot be made anew, or comes out as another.
    """
    with Checkpoints(directory) as store:
        try:
            if store.steps() or (directory / '0').exists():
                items, facts = store.restore(0, dict(like))
                return items, facts['sha256']
            damage = f'{directory / "0"} is missing' if known is not None else ''
        except DamagedCheckpoint as e:
            damage = e.what
        sha256 = dict(known or {}) | store.stated_sha256(0) if damage else {}
        items = _made(make, damage, sha256)
        if damage:
            compared = 'the same by their sha256' if sha256 else 'their sha256 is written nowhere and was not compared'
            say(f'{damage}. The initial weights were made anew ({compared})')
            _set_aside(directory / '0')
            store.reload()
        store.save(0, items, {})
        store.wait()
        return items, {name: digest(tree) for name, tree in items.items() if jax.tree.leaves(tree)}


def _made(make: Callable[[], Mapping[str, PyTree]], damage: str, sha256: Mapping[str, str]) -> dict[str, PyTree]:
    """`make`'s items, with the sha256 that are known."""
    if not damage:
        return dict(make())
    try:
        items = dict(make())
    except ValueError as e:
        raise ValueError(f'{damage}, and the initial weights cannot be made anew: {e}') from e
    for name in sha256.keys() & items.keys():
        if digest(items[name]) != sha256[name]:
            raise ValueError(
                f'{damage}, and made anew by these versions of code and jax the initial weights are others: restore '
                'that folder from a copy, or use the versions in meta.json'
            )
    return items


def _set_aside(folder: pathlib.Path) -> None:
    if folder.exists():
        grave = folder.with_name(f'damaged-{folder.name}')
        shutil.rmtree(grave, ignore_errors=True)
        folder.rename(grave)
