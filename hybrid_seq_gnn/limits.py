"""Limits of settings, in the annotations of constructors: `last: Annotated[int, Ge(1)] = 20`.

`Limited` holds every construction to them, from the command line as from Python, and says what is wrong in the words of
the command line. What depends on several settings is checked by the class itself.
"""

import functools
import inspect
import operator
import types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Interval

AtLeast0 = Annotated[int, Ge(0)]
AtLeast1 = Annotated[int, Ge(1)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Weight = Annotated[float, Interval(ge=0, le=1)]  # both ends included
Decay = Annotated[float, Interval(gt=0, le=1)]
Share = Annotated[float, Interval(ge=0, lt=1)]  # of what is left out; something must remain
Inside = Annotated[float, Interval(gt=0, lt=1)]  # neither end

WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "null"}
SIGNS = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt}


class Limited:
    """Base of classes whose arguments must lie within the limits of their annotations.

    Raises:
        ValueError: one does not; nothing has been made yet.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Check the arguments of the constructor of whatever class is made."""
        made: Any = cls
        signature = signature_of(made)
        group = cls.__module__.split(".")[1]
        for name, value in signature.bind_partial(None, *args, **kwargs).arguments.items():
            hint = signature.parameters[name].annotation
            if not within(value, hint):
                raise ValueError(refusal(f"{group}.{name}", value, hint))
        return super().__new__(cls)


@functools.lru_cache(maxsize=256)
def signature_of(cls: Any) -> inspect.Signature:
    """Of the constructor, with annotations as objects."""
    return inspect.signature(cls.__init__, eval_str=True)


def refusal(key: str, value: Any, hint: Any) -> str:
    """What is wrong with a value: `gnn.last=0: expected a whole number, 1 or more.`"""
    shown = "null" if value is None else list(value) if isinstance(value, tuple) else value
    return f"{key}={shown}: expected {describe(hint)}."


def within(value: Any, hint: Any) -> bool:
    """Whether a value keeps the limits of its annotation; its type is not looked at."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return value is not None and all(SIGNS[sign](value, end) for sign, end in ends(hint).items())
    if origin in (Union, types.UnionType):
        return value is None if value is None else any(within(value, one) for one in arguments if one is not type(None))
    if origin in (list, tuple) and isinstance(value, list | tuple):
        return all(within(one, arguments[0]) for one in value)
    return True


def ends(hint: Any) -> dict[str, Any]:
    """The limits of an annotation: ge, gt, le, lt."""
    limits = get_args(hint)[1:]
    return {sign: end for limit in limits for sign in SIGNS if (end := getattr(limit, sign, None)) is not None}


def describe(hint: Any) -> str:
    """An annotation in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return f"{describe(arguments[0])}{limits_in_words(ends(hint))}"
    if origin is Literal:
        return listing([str(option) for option in arguments])
    if origin in (Union, types.UnionType):
        return listing([describe(option) for option in arguments])
    if origin in (list, tuple):
        return f"a list [...], each {describe(arguments[0])}"
    return WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def limits_in_words(limits: dict[str, Any]) -> str:
    """`, 1 or more` or ` in (0, 1]`."""
    low = next((key for key in ("ge", "gt") if key in limits), None)
    high = next((key for key in ("le", "lt") if key in limits), None)
    if low and high:
        return f" in {'[' if low == 'ge' else '('}{limits[low]:g}, {limits[high]:g}{']' if high == 'le' else ')'}"
    if low:
        return f", {limits[low]:g} or more" if low == "ge" else f" greater than {limits[low]:g}"
    return f", {limits['le']:g} or less" if high == "le" else f" less than {limits['lt']:g}" if high else ""


def listing(words: Iterable[str]) -> str:
    """a, b or c."""
    every = list(words)
    return every[0] if len(every) == 1 else f"{', '.join(every[:-1])} or {every[-1]}"
