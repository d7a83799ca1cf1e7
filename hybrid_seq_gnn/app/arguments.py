"""The command line before Hydra sees it: studies by name, and settings that exist only beside some options."""

import re
from pathlib import Path
from typing import Any

MULTIRUN = ("-m", "--multirun")
PACKAGE = Path(__file__).resolve().parent.parent
TYPED: list[str] = []  # the command line of this process, for the record
KEYS = {"question", "time", "read", "overrides", "variants"}


def studies_folder() -> Path:
    """sweeps/, beside the package in a checkout and inside it in a wheel."""
    inside = PACKAGE / "sweeps"
    return inside if inside.is_dir() else PACKAGE.parent / "sweeps"


def expanded(arguments: list[str]) -> list[str]:
    """Arguments that Hydra understands.

    `sweeps=NAME` stands for the overrides of that study, before those of the user, and for -m.

    Raises:
        ValueError: there is no such study, or its file is not one.
    """
    named = [a for a in arguments if a.startswith("sweeps=")]
    if named:
        name = named[-1].partition("=")[2]
        study = read_study(name)
        arguments = [a for a in arguments if a not in named]
        own = [*study.get("overrides", ())]
        own += [f"study.question={quoted(str(study['question']))}", f"study.title={as_name(Path(name).stem)}"]
        if variants := study.get("variants"):
            listed = ",".join(quoted(f"{label}: {text}") for label, text in variants.items())
            own.append(f"study.variants=[{listed}]")
        arguments = [*own, *arguments, *([] if set(MULTIRUN) & set(arguments) else ["-m"])]
        arguments = last_of_each(arguments)
    return with_conditions(arguments) if set(MULTIRUN) & set(arguments) else arguments


def as_name(text: str) -> str:
    """A text as the name of a folder."""
    return re.sub(r"[^\w.+-]", "-", text).lstrip(".+-") or "study"


def read_study(name: str) -> dict[str, Any]:
    """A file of sweeps/, by its name, or a file of the user's own, by its path.

    Raises:
        ValueError: it is not there, or not a study.
    """
    import yaml

    folder = studies_folder()
    path = Path(name).expanduser() if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
        raise ValueError(f"sweeps={name}: there is no such study. Studies: {known}; or the path of a file of your own.")
    try:
        study = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a YAML file: {error}") from error
    if not isinstance(study, dict) or "question" not in study or set(study) - KEYS:
        odd = ", ".join(sorted(set(study) - KEYS)) if isinstance(study, dict) else "no table"
        raise ValueError(
            f"{path}: expected question, and any of overrides, variants, time and read; found {odd or 'none'}."
        )
    return study


def last_of_each(arguments: list[str]) -> list[str]:
    """Of a setting that is given twice, the last value alone: Hydra refuses two options of a group."""
    key = re.compile(r"[\w./@+~-]+(?==)")
    last = {(found.group().lstrip("+") if (found := key.match(a)) else a): a for a in arguments}
    return list(last.values())


def with_conditions(arguments: list[str]) -> list[str]:
    """A setting of a group that varies as a choice of one value.

    With fusion=fixed,learnable a setting such as fusion.init_mid=0.4 exists for one option only. Hydra would refuse it
    at once, since the default option lacks it; a choice it leaves to the sweep, which knows what exists beside what.
    """
    given = [(a, *a.partition("=")) for a in arguments]
    varying = {key for _, key, sign, value in given if sign and "." not in key and "," in value}
    every = any(key == "study.variants" for _, key, _, _ in given)

    def conditional(key: str, value: str) -> bool:
        group, dot, _ = key.partition(".")
        swept = re.match(r"\s*(choice|range|interval|glob|tag|sort|shuffle)\(", value) or at_top(value, ",")
        return bool(dot) and group not in ("hydra", "study") and (every or group in varying) and not swept

    return [
        choice if sign and conditional(key, value) and can_be_read(choice := f"{key}=choice({value})") else a
        for a, key, sign, value in given
    ]


def can_be_read(override: str) -> bool:
    """Whether Hydra's grammar has this override; it has no choice(null), for example."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True


def at_top(value: str, mark: str) -> bool:
    """Whether a mark stands outside all brackets and quotes."""
    depth, quote = 0, ""
    for letter in value:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == mark and depth == 0:
            return True
    return False


def quoted(value: str) -> str:
    """A text as a value of an override, whatever it holds."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
