"""The servers of docs/serve.md do what the page says."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time

import jaxtyping
import numpy as np
import pytest

from hybrid_seq_gnn.export.__main__ import main
from hybrid_seq_gnn.export.write import PACKAGES
from hybrid_seq_gnn.use.histories import typed
from hybrid_seq_gnn.use.load import choose, load_trained
from hybrid_seq_gnn.use.recommend import recommend
from tests.commands import SMALL, succeed
from tests.conftest import ROOT
from tests.test_docs import blocks

STARTS = 60  # seconds after which a server that says nothing is taken to hang


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the code of the page and a finished run."""
    folder = tmp_path_factory.mktemp("serve")
    for block in blocks("serve.md", "python"):
        if block.startswith("# "):
            (folder / block.splitlines()[0].removeprefix("# ")).write_text(block)
    data = [setting for setting in SMALL if setting.startswith("data")]
    succeed(*data, "model=markov", "model.last=5", f"hydra.run.dir={folder / 'run'}", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def expected(folder):
    """Item ids of a history, and the best items for it by the run itself."""
    trained = load_trained(choose(folder / "run"), "cpu")
    history = trained.item_ids[[4, 1, 7, 2]].tolist()
    (best,) = recommend(trained, typed(trained, history), 10)
    return history, trained.item_ids[best.items[0] - 1].tolist(), best.scores[0].tolist()


def environment(**more):
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "sweeps")]), **more}


def ask(port, question):
    """Status and answer of a server on this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=STARTS)
    try:
        connection.request("POST", "/recommend", json.dumps(question), {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def port(folder):
    """The port of the server of the page."""
    for package in ("fastapi", "uvicorn"):
        pytest.importorskip(package)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "serve:app", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment(RUN="run"), stdout=log, stderr=log)
    try:
        end = time.monotonic() + STARTS
        while "startup complete" not in (said := (folder / "log").read_text()):
            assert server.poll() is None and time.monotonic() < end, said
            time.sleep(0.1)
        yield port
    finally:
        server.kill()
        server.wait()


def test_the_server_of_the_page_recommends_what_the_run_does(port, expected):
    history, items, scores = expected
    status, answer = ask(port, {"history": history})
    assert (status, answer["items"]) == (200, items)
    np.testing.assert_allclose(answer["scores"], scores, rtol=1e-4)
    status, answer = ask(port, {"history": [*map(str, history), "nothing"], "k": 3})
    assert (status, answer["items"]) == (200, items[:3])


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ({"history": ["nothing"]}, "knows none of"),
        ({"history": [1, 2], "k": 1000}, "number of items"),
        ({"history": [1, 2], "k": 0}, "greater than or equal to 1"),
        ({"history": []}, "at least 1 item"),
        ({"history": "1 2 3"}, "valid list"),
        ({}, "Field required"),
    ],
    ids=str,
)
def test_bad_input_is_refused_with_the_reason(question, words, port):
    status, answer = ask(port, question)
    assert status == 422
    assert words in json.dumps(answer["detail"])


def test_the_exported_file_serves_without_pytorch(folder, expected):
    for package in PACKAGES:
        pytest.importorskip(package)
    history, items, _ = expected
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        main([str(folder / "run"), "--out", str(folder / "model.onnx")])
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
    command = [sys.executable, "-X", "importtime", "serve_onnx.py", *map(str, history)]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=STARTS)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"[({items[0]!r}, " in done.stdout
    assert done.stdout.count("(") == 10
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "onnxruntime" in imported and not imported & {"torch", "hybrid_seq_gnn"}
