"""What `--help` says: the groups and their options, the studies of sweeps/, and how to use them."""

import yaml

from hybrid_seq_gnn.files import package_folder
from hybrid_seq_gnn.run.options import main_config, options

NO_GROUPS = ("hydra", "criteria")  # the first is Hydra's own; the report reads the second


def groups() -> list[str]:
    """Names of the config groups."""
    return sorted(p.name for p in package_folder("conf").iterdir() if p.is_dir() and p.name not in NO_GROUPS)


def help_text() -> str:
    """The template of conf/config.yaml, filled in."""
    studies = package_folder("sweeps").glob("*.yaml")
    listed = "".join(f"  {group}: {', '.join(options(group))}\n" for group in groups())
    questions = {p.stem: yaml.safe_load(p.read_text(encoding="utf-8"))["question"] for p in studies}
    asked = "".join(f"  sweeps={name}: {question}\n" for name, question in sorted(questions.items()))
    return str(main_config()["hydra"]["help"]["template"].replace("$APP_CONFIG_GROUPS\n", f"{listed}Studies:\n{asked}"))
