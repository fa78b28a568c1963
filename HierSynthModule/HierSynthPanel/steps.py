"""Work in small steps between which the application stays responsive."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import qt

from HierSynthLib.errors import HierSynthError, InputError

TURN_SECONDS = 0.012
"""How long steps are done before the event loop gets its turn."""


class Steps:
    """Runs a generator from the event loop, a few steps at a time.

    Args:
        work: each `next` of it should take a few milliseconds.
        on_done: called after the last step.
        on_error: called with the error that ended the work early.
    """

    def __init__(
        self, work: Iterator[Any], on_done: Callable[[], None], on_error: Callable[[HierSynthError], None]
    ) -> None:
        self._work, self._on_done, self._on_error = work, on_done, on_error
        self._timer = qt.QTimer()
        self._timer.interval = 0
        self._timer.timeout.connect(self._turn)
        self._timer.start()

    @property
    def running(self) -> bool:
        """Whether there are steps left."""
        return bool(self._timer.active)

    def stop(self) -> None:
        """Do no further step; the generator is closed, so that it can tidy up."""
        self._timer.stop()
        self._work.close()

    def _turn(self, *_: object) -> None:
        end = time.perf_counter() + TURN_SECONDS
        try:
            while time.perf_counter() < end:
                next(self._work)
        except StopIteration:
            self._timer.stop()
            self._on_done()
        except HierSynthError as error:
            self._end_early(error)
        except MemoryError:
            self._end_early(InputError("There is not enough memory.", "Close other volumes and try again."))
        except Exception as error:
            # Whatever it is: the panel must not go on waiting for steps that never come.
            logging.exception("HierSynth: a step failed.")
            self._end_early(HierSynthError(f"Unexpected error: {error!r}.", "Please report it together with the log."))

    def _end_early(self, error: HierSynthError) -> None:
        self._timer.stop()
        self._on_error(error)
