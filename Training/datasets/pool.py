"""Work on many examinations in several processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

from HierSynthLib.errors import WorkerError
from HierSynthLib.progress import Reporter

Job = TypeVar("Job")
Result = TypeVar("Result")

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def in_processes(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int, reporter: Reporter, name: str
) -> list[Result]:
    """What `work` returns for each job, in their order; an error in one ends everything.

    Args:
        work: a function of a module, called in another process.
        jobs: its arguments.
        workers: most processes.
        reporter: told about the stage `name`.
        name: e.g. "patients".

    Raises:
        WorkerError: a process was ended from outside, as the system does where memory is short.
        Cancelled: the reporter said so.
    """
    with (
        _one_thread_each(),
        ProcessPoolExecutor(
            min(workers, len(jobs)), mp_context=get_context("spawn"), initializer=_single_threaded
        ) as pool,
    ):
        try:
            futures = [pool.submit(work, job) for job in jobs]
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                reporter.progress(f"{name} ({done} of {len(jobs)})", done / len(jobs))
        except BrokenProcessPool as error:
            raise WorkerError(
                f"One of the {min(workers, len(jobs))} processes that read the data was ended by the system, perhaps "
                "because memory was short.",
                "Give fewer --workers and start again; what is finished is kept.",
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [future.result() for future in futures]


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that are started meanwhile use one thread in linear algebra: they share the cores already.

    The libraries read this when they are loaded, so it has to be in the environment of the new process.
    """
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _single_threaded() -> None:
    """The same for SimpleITK."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
