"""Limits of settings, written in the annotations of constructors: `last: Annotated[int, Ge(1)] = 20`.

`Limited` checks them on every construction, from the command line or from Python, and reports errors in the words of
the command line. A class checks conditions on several settings itself.
"""

import functools
import inspect
import operator
import re
import sys
import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from annotated_types import Ge, Gt, Interval

from hybrid_seq_gnn.errors import UserError

AtLeast0 = Annotated[int, Ge(0)]
AtLeast1 = Annotated[int, Ge(1)]
Positive = Annotated[float, Gt(0)]
Temperature = Annotated[float, Interval(ge=1e-3, le=1e3)]  # beyond, a softmax has no gradient or no opinion
NotNegative = Annotated[float, Ge(0)]
Weight = Annotated[float, Interval(ge=0, le=1)]  # both ends included
Decay = Annotated[float, Interval(gt=0, le=1)]
Share = Annotated[float, Interval(ge=0, lt=1)]  # a share to leave out; something must remain
Inside = Annotated[float, Interval(gt=0, lt=1)]  # both ends excluded

WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}
WHOLE = 1 << 63  # the first whole number that is no int64
LONGEST = 200  # characters of a value in a message
SIGNS = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt}


class Limited:
    """Base of classes whose arguments must lie within the limits of their annotations.

    Raises:
        UserError: an argument is out of range. The check runs before the constructor.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Check the arguments of the subclass's constructor."""
        subclass: Any = cls
        signature = signature_of(subclass)
        group = cls.__module__.split(".")[1]
        for name, value in signature.bind_partial(None, *args, **kwargs).arguments.items():
            hint = signature.parameters[name].annotation
            if not within(value, hint):
                raise UserError(refusal(f"{group}.{name}", value, hint))
        return super().__new__(cls)


@functools.lru_cache(maxsize=256)
def signature_of(cls: Any) -> inspect.Signature:
    """The constructor's signature, with annotations as objects."""
    return inspect.signature(cls.__init__, eval_str=True)


def conform(key: str, value: Any, hint: Any) -> Any:
    """Convert `value` to the type of the annotation `hint`, if that loses no information.

    Raises:
        UserError: it cannot be converted.
    """
    if isinstance(value, str):
        refuse_bytes(f"{key}={value}")
    if hint is Any:
        return value
    if is_typeddict(hint) or get_origin(hint) is dict:
        if isinstance(value, Mapping):
            inner = inside(value, hint)
            return {**value, **{k: conform(f"{key}.{k}".lstrip("."), value.get(k), kind) for k, kind in inner}}
    elif get_origin(hint) is Annotated:
        found = conform(key, value, get_args(hint)[0])
        if within(found, hint):
            return found
    elif get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
    elif get_origin(hint) in (Union, types.UnionType):
        for option in sorted(get_args(hint), key=lambda option: option is str):  # str last: it accepts anything
            try:
                return conform(key, value, option)
            except ValueError:
                continue
    elif get_origin(hint) in (list, tuple):
        if isinstance(value, list | tuple):
            element = get_args(hint)[0]
            return get_origin(hint)(conform(f"{key}[{i}]", v, element) for i, v in enumerate(value))
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if abs(value) <= sys.float_info.max:
            return float(value)
    elif hint is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    elif hint is int and isinstance(value, int | float) and not isinstance(value, bool):
        if abs(value) < WHOLE and value == int(value):
            return int(value)
    elif isinstance(hint, type) and hint is not int and isinstance(value, hint):
        return value
    raise UserError(refusal(key, value, hint))


def refuse_bytes(text: str) -> None:
    """Refuse a text that is no Unicode, such as the path of a file that was named in Latin-1."""
    if re.search("[\ud800-\udfff]", text):
        raise UserError(f"{text}: expected UTF-8. If it is a file or folder, rename it.")


def inside(value: Mapping[str, Any], hint: Any) -> Iterable[tuple[str, Any]]:
    """The keys that a mapping needs, or has and may have, each with the annotation of its value."""
    if is_typeddict(hint):
        kinds = get_type_hints(hint, include_extras=True)
        kinds = {name: get_args(kind)[0] if get_origin(kind) is NotRequired else kind for name, kind in kinds.items()}
        return [(name, kinds[name]) for name in kinds if name in hint.__required_keys__ or value.get(name) is not None]
    names, kind = get_args(hint)
    return [(name, kind) for name in (get_args(names) or value)]


def refusal(key: str, value: Any, hint: Any) -> str:
    """The error message for a value: `gnn.last=0: expected a whole number, 1 or more.`"""
    shown = "null" if value is None else str(list(value) if isinstance(value, tuple) else value)
    shown = shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…"
    return f"{key}={shown}: expected {describe(hint)}."


def within(value: Any, hint: Any) -> bool:
    """Whether a value is within the limits of its annotation; its type is not checked."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return not isinstance(value, str | None) and all(
            SIGNS[sign](value, bound) for sign, bound in bounds(hint).items()
        )
    if origin is Literal:
        return value in arguments
    if origin in (Union, types.UnionType):
        return value is None or any(within(value, option) for option in arguments if option is not type(None))
    if origin in (list, tuple) and isinstance(value, list | tuple):
        return all(within(element, arguments[0]) for element in value)
    return True


def bounds(hint: Any) -> dict[str, Any]:
    """The bounds in an annotation, by ge, gt, le and lt."""
    limits = get_args(hint)[1:]
    return {sign: bound for limit in limits for sign in SIGNS if (bound := getattr(limit, sign, None)) is not None}


def describe(hint: Any) -> str:
    """An annotation in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return f"{describe(arguments[0])}{limits_in_words(bounds(hint))}"
    if origin is Literal:
        return listing([str(option) for option in arguments])
    if origin in (Union, types.UnionType):
        return listing([describe(option) for option in arguments])
    if origin is dict or is_typeddict(hint):
        return "a mapping"
    if origin in (list, tuple):
        return f"a list [...], each {describe(arguments[0])}"
    return WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def limits_in_words(limits: dict[str, Any]) -> str:
    """Bounds in words, such as `, 1 or more` or ` in (0, 1]`."""
    low = next((key for key in ("ge", "gt") if key in limits), None)
    high = next((key for key in ("le", "lt") if key in limits), None)
    if low and high:
        return f" in {'[' if low == 'ge' else '('}{limits[low]:g}, {limits[high]:g}{']' if high == 'le' else ')'}"
    if low:
        return f", {limits[low]:g} or more" if low == "ge" else f" greater than {limits[low]:g}"
    return f", {limits['le']:g} or less" if high == "le" else f" less than {limits['lt']:g}" if high else ""


def listing(words: Iterable[str]) -> str:
    """Join words as `a, b or c`."""
    *rest, last = words
    return f"{', '.join(rest)} or {last}" if rest else last
