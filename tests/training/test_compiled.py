"""torch.compile changes nothing but speed, and says what it needs."""

import json
import shutil

import pytest
import torch

from tests.commands import SMALL, fail, results, succeed

needs_compiler = pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")), reason="needs a C++ compiler, and none is here"
)


def losses(folder):
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


@needs_compiler
def test_a_compiled_run_has_the_losses_and_metrics_of_one_that_is_not(tmp_path):
    for name, value in (("plain", "false"), ("compiled", "true")):
        run = [*SMALL, "+experiment=study/embeddings", f"training.compile={value}", f"hydra.run.dir={name}"]
        done = succeed(*run, cwd=tmp_path, TORCHINDUCTOR_COMPILE_THREADS="1")
        assert "error" not in done.stderr.lower(), done.stderr
    plain, compiled = losses(tmp_path / "plain"), losses(tmp_path / "compiled")
    assert compiled == pytest.approx(plain, rel=1e-4)  # dropout drew the same numbers
    for key, value in results(tmp_path / "plain")["validation_metrics"].items():
        assert results(tmp_path / "compiled")["validation_metrics"][key] == pytest.approx(value, abs=0.02)
    one, other = (
        torch.load(tmp_path / name / "model.pt", weights_only=True)["model"] for name in ("plain", "compiled")
    )
    assert one.keys() == other.keys()


def test_without_a_compiler_the_reason_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    message = fail(*SMALL, "training.compile=true", cwd=tmp_path)
    assert "training.compile=true needs a C++ compiler, and no-such-compiler was not found" in message


def test_a_model_without_attention_says_that_it_has_no_effect(tmp_path):
    settings = [a for a in SMALL if "num_blocks" not in a]
    done = succeed(*settings, "model=gru4rec", "training.compile=true", cwd=tmp_path)
    assert "training.compile=true has no effect" in done.stdout + done.stderr
