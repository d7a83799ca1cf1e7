"""What a sweep varies, and which settings exist beside which options."""

import re

import pytest
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra_plugins.hydra_optuna_sweeper._impl import create_optuna_distribution_from_override
from optuna.distributions import FloatDistribution, IntDistribution

from hybrid_seq_gnn.app.arguments import Command
from hybrid_seq_gnn.app.sweep.space import parse
from hybrid_seq_gnn.study.space import choices
from tests.commands import fail, succeed
from tests.sweeps.common import ONE, finished, trials


def test_a_setting_varies_only_beside_the_options_that_have_it(tmp_path):
    arguments = ["model=sasrec,hybrid", "fusion=fixed,learnable", "fusion.alpha=0.3,0.7", "fusion.init_mid=0.45"]
    succeed(*ONE, *arguments, cwd=tmp_path)
    found = [config["fusion"] for config in finished(tmp_path / "sweep").values()]
    assert sum(fusion is None for fusion in found) == 1  # SASRec once, not once a fusion
    assert sorted(fusion["alpha"] for fusion in found if fusion and "alpha" in fusion) == [0.3, 0.7]
    assert [fusion["init_mid"] for fusion in found if fusion and "init_mid" in fusion] == [0.45]
    assert len(found) == 4


def test_a_search_asks_only_for_what_exists_beside_its_options(tmp_path):
    arguments = ["fusion=fixed,learnable", "fusion.alpha=interval(0.2,0.8)", "study.n_trials=6", "study.sampler=random"]
    succeed(*ONE, *arguments, cwd=tmp_path)
    found = [trial.params for trial in trials(tmp_path / "sweep")]
    assert {params["fusion"] for params in found} == {"fixed", "learnable"}
    assert all(("fusion.alpha" in params) == (params["fusion"] == "fixed") for params in found)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model=sasrec", "fusion.alpha=0.3,0.7"], "fusion.alpha has no effect in any run"),
        (["fusion=fixed,learnable", "fusion.alhpa=0.3,0.7"], "fusion.alhpa"),
        (["fusion=fixed,learnable", "fusion.inti_mid=0.3"], "fusion.inti_mid"),
        (["study.n_trials=1,2"], "study.n_trials belongs to the sweep itself"),
        (["seed=interval(0,5)"], "seed=0,1,2"),
        (["seed=0,1", "study.seeds=2"], "give only one"),
        (["study.objective=HR@7"], "expected a validation metric"),
        (["study.objective=[NDCG@10,HR@10]", "study.pruner=median"], "study.pruner=median wants one"),
        (["study.storage=studies.db"], "sqlite:///studies.db"),
        (["study.storage=sqlite:////no/such/folder/s.db"], "cannot be opened"),
        (["study.name=a/b"], "study.name=a/b"),
        (["hydra/sweeper=optuna"], "run by this program's own sweeper"),
        (["hydra.sweeper.params=x"], "hydra.sweeper.params=x: sweeps are run by this program's own sweeper"),
        (["+hydra.sweeper.n_jobs=2"], "study.n_trials"),
        (["hydra.sweep.subdir=x"], "hydra.sweep.subdir=x: a sweep numbers its runs"),
        (["hydra.job.num=3"], "study.name"),
        (["hydra.run.dir=x"], "the folder of a sweep is hydra.sweep.dir"),
        (["+hydra.callbacks.x._target_=os.system"], "hydra.callbacks.x._target_=os.system: Hydra may only make"),
        (["+hydra.callbacks.x._target_=tests.Callback"], "logger=…"),
        (["gnn.num_layers=interval(1,8)"], "gnn.num_layers=int(interval(1,8)) searches whole numbers"),
        (["gnn=glob(zz*)"], "there is nothing to choose from"),
        (["fusion.alpha=interval(0,1),0.5"], "fusion.alpha=interval(0,1),0.5: an interval or a range stands alone"),
        (["fusion.alpha=0.3;0.4"], "fusion.alpha=0.3;0.4: a sign in it has no place there"),
        (["training.lr=tag(log,interval(0,0.1))"], "training.lr=tag(log,interval(0,0.1)): "),
        (["fusion.alpha=interval(0.9,0.1)"], "fusion.alpha=interval(0.9,0.1): "),
        (["fusion.alpha=shuffle(0.3,0.7)"], "fusion.alpha=shuffle(0.3,0.7): leave out shuffle(…)"),
        (["seed=shuffle(range(3))"], "seed=shuffle(range(3)): leave out shuffle(…)"),
        (["fusion.alpha=interval(0,1)", "gnn.num_layers=shuffle(range(1,3))"], "leave out shuffle(…)"),
        (["study.n_trials=0"], "study.n_trials=0: expected a whole number, 1 or more"),
        (["study.sampler=best"], "study.sampler=best: expected tpe, random, gp, cmaes or nsga2"),
        (["study.pruner_stratup=3"], "study.pruner_startup"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_wrong_is_said_before_the_first_run(arguments, words, tmp_path):
    assert words in fail(*ONE, *arguments, cwd=tmp_path)
    assert not list(tmp_path.glob("sweep/*/train.log"))


def test_a_file_of_data_that_is_not_there_is_said_before_the_first_run(tmp_path):
    message = fail("data=sequences", "data.path=no.txt", "fusion.alpha=0.3,0.7", "-m", cwd=tmp_path)
    assert "no.txt" in message
    assert not (tmp_path / "outputs").exists()


def test_variants_are_named_configurations_times_the_grid(tmp_path):
    variants = "variants: {SASRec: model=sasrec, 'input, only': fusion.side=input fusion.alpha=0.4}"
    (tmp_path / "own.yaml").write_text(f"question: Which?\n{variants}\n")
    done = succeed("sweeps=own.yaml", *ONE, "training.lr=0.001,0.002", cwd=tmp_path)
    found = [
        (c["name"], c["training"]["lr"], (c["fusion"] or {}).get("side")) for c in finished(tmp_path / "sweep").values()
    ]
    assert sorted(found, key=str) == [
        ("SASRec", 0.001, None),
        ("SASRec", 0.002, None),
        ("input, only", 0.001, "input"),
        ("input, only", 0.002, "input"),
    ]
    assert "| SASRec" in done.stdout


@pytest.mark.parametrize(
    ("argument", "lines"),
    [
        ("data.path='my file, 2.zip',b.zip", ["data.path='my file, 2.zip'", "data.path=b.zip"]),
        ("data.path=choice('x y','c,d')", ["data.path=x y", "data.path='c,d'"]),
        ("fusion.knots=[1,2],[3]", ["fusion.knots=[1,2]", "fusion.knots=[3]"]),
        ("training.clip_norm=null,3", ["training.clip_norm=null", "training.clip_norm=3"]),
        ("data.path=choice('my file, 2.zip')", ["data.path='my file, 2.zip'"]),
        ("data.path=choice(/a/b-c.zip)", ["data.path=/a/b-c.zip"]),
        ("seed=3,3", ["seed=3"]),
        ("data.path='a,b.csv','a,b.csv'", ["data.path='a,b.csv'"]),
        ("gnn.top_k=null,null", ["gnn.top_k=null"]),
        ("fusion.alpha=0.5,0.5", ["fusion.alpha=0.5"]),
        ("gnn.num_layers=range(2,3)", ["gnn.num_layers=2"]),
        ("gnn.decay=tag(t,choice(0.5))", ["gnn.decay=0.5"]),
        ("fusion.knots=[0.1,0.2],[0.1,0.2]", ["fusion.knots=[0.1,0.2]"]),
        ("gnn.decay=float(range(0,1))", ["gnn.decay=0.0"]),
        ("data.path='1','a.csv'", ["data.path='1'", "data.path=a.csv"]),
    ],
)
def test_a_choice_keeps_its_spelling(argument, lines):
    space = parse([argument], {})
    name = argument.partition("=")[0]
    if name in space.distributions:
        assert [f"{name}={value}" for value in choices(space.distributions[name])] == lines
    else:
        assert space.seeds == (3,) or list(space.fixed) == lines


def test_seeds_of_a_search_may_be_a_range():
    assert parse(["seed=range(0,3)", "training.lr=interval(0.1,0.2)"], {}).seeds == (0, 1, 2)


def test_options_with_the_same_settings_are_different_sweeps(tmp_path):
    given = ["data=synthetic", "+experiment=study/embeddings", "fusion.alpha=0.3,0.5", "study.dry_run=true", "-m"]
    said = [succeed(*given, f"gnn={name}", cwd=tmp_path).stdout for name in ("gat", "gatv2", "gat")]
    folders = [re.search(r"outputs/studies/\S+", text)[0] for text in said]
    assert folders[0] == folders[2] != folders[1]


def test_hydra_sees_of_a_sweep_only_what_is_its_own():
    given = ["fusion=fixed,learnable", "fusion.x=null", "hydra.sweep.dir=out", "~gnn.x", "+x=1", "-m"]
    command = Command.read(given)
    assert command.for_hydra == ["hydra.sweep.dir=out", "-m"]
    assert command.overrides == ["fusion=fixed,learnable", "fusion.x=null", "~gnn.x", "+x=1"]
    assert Command.read(["hydra.mode=MULTIRUN", "seed=0,1"]).for_hydra == ["-m"]
    one = ["fusion=fixed", "hydra.run.dir=out", "+x=1"]
    assert Command.read(one).for_hydra == one


def test_a_glob_stands_for_options_and_not_for_a_base_of_theirs():
    class Loader(ConfigLoader):
        def get_group_options(self, group, results_filter=None):
            return ["_base", "bert4rec", "hybrid", "sasrec"]

    Loader.__abstractmethods__ = frozenset()
    space = parse(["model=glob(*,exclude=h*)"], {}, Loader())
    assert choices(space.distributions["model"]) == ["bert4rec", "sasrec"]


def test_a_range_is_searched_in_steps_and_a_grid_over_it_is_a_choice():
    searched = parse(["training.lr=interval(0.1,0.2)", "gnn.window=range(3,9,2)", "gnn.decay=range(0.5,0.9,0.1)"], {})
    assert searched.distributions["gnn.window"] == IntDistribution(3, 7, step=2)
    assert searched.distributions["gnn.decay"] == FloatDistribution(0.5, 0.8, step=0.1)
    assert choices(parse(["gnn.window=range(3,9,2)"], {}).distributions["gnn.window"]) == [3, 5, 7]


@pytest.mark.parametrize(
    "value",
    [
        "interval(0,1)",
        "interval(0.0,1)",
        "interval(1,8)",
        "tag(log,interval(1e-4,1e-2))",
        "tag(log,int(interval(1,64)))",
        "range(3,9,2)",
        "range(9,3,-2)",
        "range(0.5,0.9,0.1)",
        "choice(0.3,0.7)",
        "3,5,8",
    ],
)
def test_what_varies_is_what_hydra_optuna_sweeper_makes_of_it(value):
    line = f"training.lr={value}"
    (theirs,) = map(create_optuna_distribution_from_override, OverridesParser.create().parse_overrides([line]))
    ours = parse([line, "gnn.decay=interval(0,1)"], {}).distributions["training.lr"]
    if isinstance(theirs, FloatDistribution | IntDistribution):
        assert ours == theirs
    else:
        assert [str(choice) for choice in choices(ours)] == [str(choice) for choice in choices(theirs)]
