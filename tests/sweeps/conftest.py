"""Processes that end with their test."""

import signal
import subprocess
import sys

import pytest


@pytest.fixture
def start(tmp_path):
    """Starts commands in processes of their own, none of which outlives the test."""
    running = []

    def begin(*arguments):
        command = [sys.executable, "-m", "hybrid_seq_gnn", *arguments]
        hears = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731 - shells make background jobs deaf
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, preexec_fn=hears)
        running.append(process)
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()
