"""What `--help` says: the groups and their options, the studies of sweeps/, and how to use them."""

from pathlib import Path

import yaml

from hybrid_seq_gnn.run.options import options

NO_GROUPS = ("hydra", "criteria")  # the first is Hydra's own; the report reads the second


def groups(conf: Path) -> list[str]:
    """Names of the config groups."""
    return sorted(p.name for p in conf.iterdir() if p.is_dir() and p.name not in NO_GROUPS)


def help_text(conf: Path, studies: Path) -> str:
    """The template of conf/config.yaml, filled in."""
    template = yaml.safe_load((conf / "config.yaml").read_text(encoding="utf-8"))["hydra"]["help"]["template"]
    listed = "".join(f"  {group}: {', '.join(options(group))}\n" for group in groups(conf))
    questions = {p.stem: yaml.safe_load(p.read_text(encoding="utf-8"))["question"] for p in studies.glob("*.yaml")}
    asked = "".join(f"  sweeps={name}: {question}\n" for name, question in sorted(questions.items()))
    return str(template.replace("$APP_CONFIG_GROUPS\n", f"{listed}Studies:\n{asked}"))
