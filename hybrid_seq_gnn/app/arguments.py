"""The command line before Hydra sees it: studies by name, and what of a sweep is Hydra's business."""

import itertools
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from hybrid_seq_gnn.app.help import groups
from hybrid_seq_gnn.errors import UserError
from hybrid_seq_gnn.files import MAX_DEPTH, expanded, package_folder, read_yaml
from hybrid_seq_gnn.limits import refuse_bytes
from hybrid_seq_gnn.run.options import options

MULTIRUN = {"-m", "--multirun"}
RUN = {"-r", "--run"}
LOOK = r"--cfg?(=|$)|-c(=?(job|hydra|all))?$|--inf?o?(=|$)|-i"  # Hydra shows something instead of running
NO_NAME = r"(?i)null|true|false|[-+]?[\d.]+(e[-+]?\d+)?|[\[{].*"  # values that are no name of an option (`none` is)
LAUNCHERS = ["basic", "joblib", "ray", "submitit_local", "submitit_slurm"]  # of Hydra, as sweeps use them
OVERRIDE = r"~|[^-=][^=]*="
MAY_SET = r"hydra\.sweep\.dir=|hydra/launcher=|[+~]*hydra\.launcher\."
NO_EFFECT = {
    r"hydra[./]sweeper\b(?!=hybrid_seq_gnn$)": "sweeps are run by this program's own sweeper; leave it out and use "
    "study.n_trials, study.sampler and the other settings of study.",
}
NO_EFFECT_IN_A_SWEEP = {
    r"hydra\.(sweep\.subdir|job\.num|job\.id)\b": "a sweep numbers its runs, so that the same command can continue it. "
    "Its own folder is hydra.sweep.dir, or study.name below outputs/studies.",
    r"hydra\.run\.dir\b": "the folder of a sweep is hydra.sweep.dir, or study.name below outputs/studies.",
}
NO_EFFECT_IN_A_RUN = {
    r"hydra\.sweep\.": "this is one run, whose folder is hydra.run.dir; -m makes it a sweep.",
    r"study\.dry_run=(?!(?i:false|no|off|0)$)": "this is one run; -m makes it a sweep, whose runs it shows. "
    "For the settings of a run: --cfg job.",
}
KEYS = {"question", "time", "read", "overrides", "variants"}


@dataclass(frozen=True)
class Command:
    """A command line.

    Attributes:
        typed: as the user wrote it.
        arguments: the same with the overrides of the study that it names, each setting once.
        title: of that study.
        question: which it asks.
        variants: its named configurations: overrides of each label, side by side in a text.
    """

    typed: list[str]
    arguments: list[str]
    title: str | None = None
    question: str | None = None
    variants: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, typed: list[str]) -> "Command":
        """Look up the study. `sweeps=NAME` stands for its overrides, before those of the user, and for -m.

        Raises:
            UserError: there is no such study, or its file is not one; or a setting of Hydra has no place here.
        """
        typed = ["-m" if a.lower() == "hydra.mode=multirun" else a for a in typed]
        for argument in typed:
            refuse_absurd(argument)
            refuse_no_option(argument)
        named = [a.partition("=")[2] for a in typed if a.startswith("sweeps=")]
        sweep = bool(named or MULTIRUN & set(typed))
        refuse_without_effect(typed, sweep=sweep)
        refuse_flags(typed, sweep=sweep)
        if not named:
            arguments = [at_home(a) for a in typed]
            return cls(typed, to_look_at(arguments) if sweep else arguments)
        study = read_study(named[-1])
        own = [a for a in typed if not a.startswith("sweeps=")]
        arguments = last_of_each([*(study.get("overrides") or ()), *own, *([] if MULTIRUN & set(own) else ["-m"])])
        arguments = to_look_at([at_home(a) for a in arguments])
        title = re.sub(r"[^\w.+-]", "-", Path(named[-1]).stem).lstrip(".+-") or "study"
        return cls(typed, arguments, title, str(study["question"]), study.get("variants") or {})

    @property
    def overrides(self) -> list[str]:
        """What is said of runs, and of the study; neither flags nor what is Hydra's own."""
        return [a for a in self.arguments if re.match(OVERRIDE, a) and not re.match(r"[+~]*hydra[./@]", a)]

    @property
    def for_hydra(self) -> list[str]:
        """What Hydra is to see: of a sweep only what concerns Hydra itself.

        A setting may exist beside some options only: Hydra would compose all of them at once, and refuse.
        """
        apart = self.overrides if MULTIRUN & set(self.arguments) else []
        return [a for a in self.arguments if a not in apart]


def refuse_without_effect(arguments: list[str], sweep: bool) -> None:
    """Refuse settings of Hydra that would do nothing here, and say what to use instead.

    Raises:
        UserError: there is one.
    """
    for argument in arguments:
        for pattern, instead in (NO_EFFECT | (NO_EFFECT_IN_A_SWEEP if sweep else NO_EFFECT_IN_A_RUN)).items():
            if re.match(rf"[+~]*{pattern}", argument):
                raise UserError(f"{argument}: {instead}")


def refuse_flags(arguments: list[str], sweep: bool) -> None:
    """Refuse flags of Hydra that do not go together.

    Raises:
        UserError: there are such flags.
    """
    looks = [a for a in arguments if re.match(LOOK, a)]
    if "--resolve" in arguments and not any(re.match("--?c", a) for a in looks):
        raise UserError("--resolve: it goes with --cfg job, whose references it replaces by their values.")
    if len(looks) > 1:
        raise UserError(f"{' and '.join(looks)}: each shows something else; give one of them.")
    if (runs := RUN & set(arguments)) and sweep and not looks:
        raise UserError(f"{min(runs)}: it makes one run, and a study or -m makes a sweep; leave out one of them.")


def to_look_at(arguments: list[str]) -> list[str]:
    """With --cfg or --info, what all runs of a sweep have in common; Hydra shows one run. Else the arguments."""
    if not any(re.match(LOOK, a) for a in arguments):
        return arguments
    settings = [a for a in arguments if re.match(OVERRIDE, a)]
    flags = [a for a in arguments if a not in settings and a not in MULTIRUN | RUN]
    return [*(a for a in settings if not varied(a)), *flags]


def varied(override: str) -> bool:
    """Whether a sweep varies this setting."""
    with suppress(HydraException):  # it says so itself
        return OverridesParser.create().parse_override(override).is_sweep_override()
    return False


def at_home(argument: str) -> str:
    """Replace the ~ in hydra.run.dir=~... or hydra.sweep.dir=~... by the home folder; any other argument stays.

    Raises:
        UserError: there is no user of that name.
    """
    if not (match := re.fullmatch(r"([+]*hydra\.(?:run|sweep)\.dir=)(['\"]?)(~.*)\2", argument)):
        return argument
    key, quote, text = match.groups()
    path = os.path.expanduser(text)
    if path.startswith("~"):
        raise UserError(f"{argument}: there is no home folder {text.split('/')[0]}. A folder of that name is ./{text}.")
    return f"{key}{quote}{path}{quote}" if quote else key + quoted(path)


def refuse_no_option(argument: str) -> None:
    """Refuse a group without an option: GROUP=null, ~GROUP, and what else is no name.

    Raises:
        UserError: it is one.
    """
    key, _, value = argument.partition("=")
    group = re.sub(r"^[+~]*|@.*", "", key)
    if group not in groups() and group not in ("hydra/launcher", "hydra/sweeper"):
        return
    known = LAUNCHERS if group == "hydra/launcher" else options(group)
    without = f"{group}=none does without. " if "none" in known else ""
    listed = f"Options of {group}: {', '.join(known)}." if known else ""
    if key.startswith("~") and group != "experiment":
        raise UserError(
            f"{argument}: a group cannot be taken away; a model that has no use for it ignores it. {without}{listed}"
        )
    parts = [] if key.startswith("~") or value.startswith("glob(") else re.split("[,()]", value)
    if any(re.fullmatch(f"{NO_NAME}|_.*", part.strip()) for part in parts):
        raise UserError(f"{argument}: a group needs an option. {without}{listed}".rstrip())


def refuse_absurd(argument: str) -> None:
    """Refuse what Hydra cannot parse: numbers that no computer holds, and brackets in brackets in brackets; bytes that
    no file of a run can hold; and a folder without a name, as a shell makes of $OUT where nobody has set it.
    """
    refuse_bytes(argument)
    if re.fullmatch(r"\+*hydra\.(run|sweep)\.dir=\s*(['\"]?)\s*\2", argument):
        raise UserError(f"{argument} is empty; expected a folder. Is a variable of the shell not set?")
    depth = max(itertools.accumulate((c in "[{(") - (c in "]})") for c in argument), default=0)
    if depth > MAX_DEPTH or re.search(r"\d{400}", argument):
        raise UserError(f"{argument[:60]}…: expected fewer {'brackets' if depth > MAX_DEPTH else 'digits'}.")


def read_study(name: str) -> dict[str, Any]:
    """A file of sweeps/, by its name, or a file of the user's own, by its path.

    Raises:
        UserError: it is not there, or not a study.
    """
    path = expanded(name) if name.endswith((".yaml", ".yml")) else package_folder("sweeps") / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in package_folder("sweeps").glob("*.yaml")))
        raise UserError(f"sweeps={name}: there is no such study. Studies: {known}; or the path of a file of your own.")
    study = read_yaml(path)
    odd = ", ".join(sorted(map(str, set(study) - KEYS))) if isinstance(study, dict) else "no table"
    if odd or "question" not in study:
        raise UserError(
            f"{path}: expected question, and any of overrides, variants, time and read; found {odd or 'none'}."
        )
    overrides, variants = study.get("overrides") or [], study.get("variants") or {}
    if not isinstance(overrides, list) or not all(isinstance(line, str) for line in overrides):
        raise UserError(f"{path}: overrides: expected a list of lines such as 'fusion.alpha=0.3,0.7'.")
    if not isinstance(variants, dict) or not all(isinstance(text, str) and text.split() for text in variants.values()):
        raise UserError(f"{path}: variants: {variants!r}: expected a line 'label: override override ...' for each.")
    for line in [*overrides, *(word for text in variants.values() for word in text.split())]:
        refuse_absurd(line)
        refuse_no_option(line)
        if not re.match(OVERRIDE, line):
            raise UserError(f"{path}: {line!r}: expected a setting and its value, such as fusion.alpha=0.3.")
        if "hydra" in line.partition("=")[0] and not re.match(MAY_SET, line):
            raise UserError(
                f"{path}: {line}: of hydra's settings a study may only set hydra.sweep.dir, hydra/launcher and "
                "hydra.launcher.*; give others on the command line."
            )
    return {**study, "variants": {str(label): text for label, text in variants.items()}}


def last_of_each(arguments: Iterable[str]) -> list[str]:
    """Of a setting that is given twice, the last value alone: Hydra refuses two options of a group."""
    return list({a.partition("=")[0].lstrip("+"): a for a in arguments}.values())


def quoted(value: str) -> str:
    """A text as a value of an override, whatever it holds."""
    return QuotedString(value, Quote.single).with_quotes()
