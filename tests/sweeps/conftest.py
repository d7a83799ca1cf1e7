"""Processes that end with their test."""

import pytest

from tests.commands import Fork


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
