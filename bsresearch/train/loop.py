"""The one training loop: updates on the device, and between them events, in a fixed order.

At update t, before it is made:
  1. evaluate and measure at θ_t, write the rows; runs that have come to their target end here;
  2. flush and fsync the rows, then save the checkpoint, which notes where the rows end;
  3. run the updates up to the next event on the device, the host preparing the next chunk meanwhile;
  4. look for divergence, write the rows of the updates that are recorded.
A resumed run starts from the newest whole checkpoint and forgets rows past it, so it repeats what it lost, bit for bit.
"""

from collections.abc import Callable
from typing import NamedTuple

from bsresearch.train.session import Session


class Outcome(NamedTuple):
    """How a group's session ended: at update `step`, at its end or stopped before."""

    step: int
    finished: bool


def run(session: Session, should_stop: Callable[[], bool], begun: Callable[[Session, int], None]) -> Outcome:
    """Trains a group from where it stands to its end, or until `should_stop`; what was reached is saved.

    `begun`: called with the session and t once it stands at its first θ_t.
    """
    t, events_done = session.start()
    begun(session, t)
    while True:
        finished = t == session.events.total or not any(session.alive)
        if should_stop() and not finished:
            session.save(t, events_done)
            break
        if not events_done:
            session.observe(t)
            finished = finished or not any(session.alive)
        if finished or session.save_due(t):
            session.save(t, events_done=True)
        if finished:
            break
        t += session.advance(t)
        events_done = False
    session.checkpoints.wait()
    return Outcome(t, finished)
