"""Processes that end with their test, and finished sweeps, which are run once and copied."""

import functools
import shutil

import pytest

from tests.commands import Fork, succeed
from tests.sweeps.common import ONE


@pytest.fixture
def start(tmp_path):
    """Starts commands, none of which outlives the test."""
    running = []

    def begin(*arguments, cwd=tmp_path):
        running.append(Fork(*arguments, cwd=cwd))
        return running[-1]

    yield begin
    for each in running:
        each.kill()


@pytest.fixture(scope="session")
def run_once(tmp_path_factory):
    """Runs a sweep in a folder, unless it has been run; returns the folder."""

    @functools.cache
    def folder_of(*arguments):
        folder = tmp_path_factory.mktemp("once")
        succeed(*arguments, cwd=folder)
        return folder

    return folder_of


def finished_here(arguments, run_once, tmp_path):
    shutil.copytree(run_once(*arguments), tmp_path, dirs_exist_ok=True)  # with the times of its files
    return arguments


@pytest.fixture
def two_done(run_once, tmp_path):
    """The arguments of a sweep of two runs that is finished in `tmp_path`."""
    return finished_here((*ONE, "fusion.alpha=0.3,0.7"), run_once, tmp_path)


@pytest.fixture
def one_done_one_failed(run_once, tmp_path):
    """The arguments of a sweep that is finished in `tmp_path`; its second run has failed, as it must."""
    return finished_here((*ONE, "fusion.alpha=0.3,null"), run_once, tmp_path)
