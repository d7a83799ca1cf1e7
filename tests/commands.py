"""The command line in tests: in a process of its own, or in a fork of this one, which has everything loaded already."""

import faulthandler
import functools
import gc
import importlib
import json
import multiprocessing
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from contextlib import suppress

import hydra
import jaxtyping
import pytest

import hybrid_seq_gnn
from hybrid_seq_gnn.app.cli import main
from hybrid_seq_gnn.files import package_folder
from hybrid_seq_gnn.run import identity, record

HANGS = 100  # seconds after which a command in a fork is taken to hang
SMALL = [
    "data=synthetic",
    "data.users=80",
    "data.items=40",
    "model.embedding_dim=8",
    "model.num_blocks=1",
    "training.epochs=2",
]


def process(*arguments, cwd, timeout=120, **environment):
    """A command in a process of its own, as a user starts it."""
    return subprocess.run(
        [sys.executable, "-m", "hybrid_seq_gnn", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@functools.lru_cache(maxsize=1)
def load_everything():
    """Import and look up all that a run may need, so that the forks of this process need not."""
    for module in pkgutil.walk_packages(hybrid_seq_gnn.__path__, "hybrid_seq_gnn."):
        if "__main__" not in module.name:
            importlib.import_module(module.name)
    for name in ("torch._dynamo", "scipy.special", "scipy.optimize", "pyarrow.parquet", "hydra_plugins"):
        importlib.import_module(name)
    identity.code(), record.versions(), record.git_state()  # each of which remembers
    with hydra.initialize_config_dir(str(package_folder("conf"))):
        hydra.compose("config", [*SMALL, "fusion=fixed", "training.lr=1e-3", "+experiment=study/embeddings"])


class Fork:
    """A command that runs in a fork of this process: many times as fast to start as a new one.

    `main` is that of the command.
    """

    def __init__(self, *arguments, cwd, main=main, **environment):
        load_everything()
        self.arguments, self.files = arguments, (tempfile.TemporaryFile(), tempfile.TemporaryFile())  # noqa: SIM115
        given = arguments, cwd, main, environment
        self.process = multiprocessing.get_context("fork").Process(target=self.run, args=given)
        self.process.start()
        self.pid = self.process.pid

    def run(self, arguments, cwd, main, environment):
        for number, file in enumerate(self.files, start=1):
            os.dup2(file.fileno(), number)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        sys.argv = ["python -m hybrid_seq_gnn", *arguments]
        os.environ |= environment
        os.chdir(cwd)
        os.setsid()
        faulthandler.dump_traceback_later(HANGS, file=2)  # says where
        gc.freeze()  # what was there before the fork is not garbage
        signal.signal(signal.SIGINT, signal.default_int_handler)
        warnings.resetwarnings()
        jaxtyping.config.update("jaxtyping_disable", True)  # shapes are for the tests in this process; they take time
        code = 1
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
            print(stop.code if isinstance(stop.code, str) else "", file=sys.stderr)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code or 0)  # at once: Python's own end would wait for what joblib has started

    def poll(self):
        """Exit code, or None while the command runs; minus the number of the signal that killed it."""
        return self.process.exitcode

    def send(self, number):
        """Send a signal."""
        os.kill(self.pid, number)

    def kill(self):
        """Kill the command and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.join()
        self.close()

    def end(self, timeout=120):
        """Wait for the end. Returns exit code and output, as `process` does."""
        self.process.join(timeout)
        if self.poll() is None:
            said = self.said()
            self.kill()
            raise TimeoutError(f"still running after {timeout} s: {said}")
        said = self.said()
        self.close()
        return subprocess.CompletedProcess(self.arguments, self.poll(), *said)

    def said(self):
        """What it has written by now to stdout and to stderr."""
        return [os.pread(file.fileno(), 1 << 24, 0).decode() for file in self.files]

    def close(self):
        for file in self.files:
            file.close()


def command(*arguments, cwd, main=main, **environment):
    """A command in a fork of this process."""
    return Fork(*arguments, cwd=cwd, main=main, **environment).end()


def succeed(*arguments, cwd, how=command, **environment):
    done = how(*arguments, cwd=cwd, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def fail(*arguments, cwd):
    """The one message of a command that must fail."""
    done = command(*arguments, cwd=cwd)
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    message = done.stderr.strip()
    assert message.startswith("error: "), message
    assert message.count("error: ") == 1
    return message


def results(folder):
    return json.loads((folder / "results.json").read_text())


def refused(main, *arguments):
    """The one message of another command that must fail."""
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments)])
    assert isinstance(stop.value.code, str)
    assert stop.value.code.startswith("error: ")
    return stop.value.code
