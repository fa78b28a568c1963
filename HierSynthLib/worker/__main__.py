"""`python -m HierSynthLib.worker`: speaks `messages` on stdin and stdout; stderr is its log."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - the user may have named any Python as the worker's
    sys.exit("HierSynth needs Python 3.11 or newer; this is %d.%d (%s)." % (*sys.version_info[:2], sys.executable))  # noqa: UP031

from HierSynthLib.worker.jobs import standard_jobs
from HierSynthLib.worker.server import serve

if __name__ == "__main__":
    serve(standard_jobs())
