"""The module's own test, which Slicer runs, and what the module leaves behind."""

import sys
import threading


def test_the_self_test_of_the_module_passes(host):
    host.open_module("HierSynth")
    module = sys.modules["HierSynth"]
    module.HierSynthTest().runTest()


def test_closing_the_module_ends_worker_and_threads(host):
    panel = host.open_module("HierSynth").panel
    panel.runtime.check()
    host.wait(lambda: not panel.runtime.checking, 60)
    link = panel.context.link
    assert link.pid is not None
    host.close_module("HierSynth")
    assert link.pid is None
    host.wait(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("HierSynth")], 10)
