"""Settings that do not go together are refused before the data are read, and before the first run of a sweep."""

import time

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from hybrid_seq_gnn.run.build import checked
from hybrid_seq_gnn.run.rehearse import build_all, rehearse
from tests.commands import fail, succeed
from tests.conftest import CONF, options

UNREAD = ["data=table", "data.path=no.csv"]
STUDY = "+experiment=study/embeddings"


def configuration(*overrides):
    with initialize_config_dir(str(CONF)):
        return checked(OmegaConf.to_container(compose("config", list(overrides))))


@pytest.mark.parametrize(
    "overrides",
    [
        *([STUDY, f"{group}={name}"] for group in ("gnn", "graph", "fusion") for name in options(group)),
        *([f"{group}={name}"] for group in ("model", "loss", "fusion", "data") for name in options(group)),
        *([STUDY, f"training={name}"] for name in ("joint", "two_stage", "quick")),
        *([f"negatives={name}", "loss=bce"] for name in options("negatives")),
        [STUDY, "graph.min_count=9"],
        ["model=sasrec", "loss=bce", "negatives=hard", "negatives.num_negatives=500"],
    ],
    ids=" ".join,
)
def test_every_option_can_be_built_for_a_catalogue_of_four_items(overrides):
    build_all(configuration(*overrides))


NOT_TOGETHER = [
    (["model.embedding_dim=10", "model.num_heads=3"], "model.num_heads=3 does not divide model.embedding_dim=10"),
    (["training.patience=2", "training.eval_every=3"], "training.patience=2 is shorter than training.eval_every=3"),
    (["fusion=piecewise", "fusion.knots=[3,9]", "fusion.values=[0.5]"], "fusion.values=[0.5]: expected 2"),
    (["loss=bce", "negatives=dynamic", "negatives.num_negatives=99"], "negatives.pool=16 is smaller"),
    ([STUDY, "gnn.layer_weights=[1,2]", "gnn.num_layers=2"], "gnn.layer_weights=[1.0, 2.0]: expected 3 weights"),
    (["gnn=lightgcn"], "training=post_hoc does not train the gnn"),
    (["gnn=lightgcn", "fusion.level=embedding"], "training=post_hoc mixes the scores of two finished models"),
    (["training=two_stage"], "training=two_stage: with fusion.level=score this gnn is a memory"),
    ([STUDY, "training=two_stage", "model.tied=true"], "set training.freeze=false"),
    (["evaluation.groups.short=60"], "evaluation.groups.short=60"),
    (["loss=unseen", "evaluation.mask_history=false"], "Use loss=cross_entropy"),
    (["data.valid_share=0.5", "data.test_share=0.5"], "leave nothing for training"),
]


def words_of(value):
    """The id of a case: its arguments."""
    return " ".join(value) if isinstance(value, list) else None


@pytest.mark.parametrize(("arguments", "words"), NOT_TOGETHER, ids=words_of)
def test_settings_that_do_not_go_together_are_refused_before_data_are_read(arguments, words, tmp_path):
    assert words in fail(*UNREAD, *arguments, cwd=tmp_path)


# one that settings refuse, and one that constructed parts do
@pytest.mark.parametrize(("arguments", "words"), [NOT_TOGETHER[1], NOT_TOGETHER[5]], ids=words_of)
def test_what_does_not_go_together_beside_a_choice_is_refused_before_data_are_read(arguments, words, tmp_path):
    assert words in fail(*UNREAD, *arguments, "seed=0,1", "-m", cwd=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["model.embedding_dim=8,10", "model.num_heads=1,4"],
            "model.num_heads=4 does not divide model.embedding_dim=10",
        ),
        (["model.embedding_dim=9", "model.num_heads=interval(1,4)"], "model.num_heads=4 does not divide"),
        (["training.epochs=interval(2,9)", "training.warmup=interval(0.5,3)"], "training.warmup=3 is longer"),
        (["fusion=fixed,learnable", "fusion.L_short=9,50"], "fusion.L_short=50 fusion.L_long=50"),
        (["model=sasrec,gru4rec", "model.embedding_dim=8", "model.num_heads=1,3"], "model.num_heads=3"),
        (["evaluation.groups.short=5,20", "evaluation.groups.long=10,30"], "evaluation.groups.short=20"),
        (["gnn=evidence,sage"], "gnn=sage: training=post_hoc does not train the gnn"),
        (["seed=0,-1"], "seed=-1: expected a whole number"),
        (["seed=0,a"], "seed=a: expected a whole number"),
        (["fusion=fixed,learnable", "fusion.L_short=9,50", "study.dry_run=true"], "fusion.L_short=50 fusion.L_long=50"),
    ],
    ids=words_of,
)
def test_a_combination_that_no_run_can_have_is_refused_when_a_sweep_is_planned(arguments, words, tmp_path):
    assert words in fail(*UNREAD, *arguments, "-m", cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_setting_that_an_encoder_does_not_use_is_no_reason_to_refuse(tmp_path):
    grid = ["model.encoder=gru4rec", "model.embedding_dim=9", "model.num_heads=1,2", "study.dry_run=true", "-m"]
    succeed("data=synthetic", *grid, cwd=tmp_path)


def test_a_device_of_another_machine_is_not_looked_for_here():
    config = configuration("training.device=cuda:99")
    with pytest.raises(ValueError, match=r"training\.device=cuda:99"):
        rehearse(config)
    rehearse(config, here=False)


def test_an_error_that_may_be_due_to_the_small_catalogue_is_left_to_the_run(monkeypatch):
    monkeypatch.setattr("hybrid_seq_gnn.run.rehearse.build_parts", lambda *_: [][0])
    with pytest.raises(IndexError):
        build_all(configuration())
    rehearse(configuration())


def test_a_hundred_points_are_planned_within_seconds(tmp_path):
    grid = ["training.lr=0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9,1", "gnn.last=range(2,12)"]
    started = time.monotonic()
    assert "100 runs" in succeed("data=synthetic", *grid, "study.dry_run=true", "-m", cwd=tmp_path).stdout
    assert time.monotonic() - started < 10  # 2 seconds on one core, all that is not planning included
