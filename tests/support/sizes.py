"""Measures how long functions and files are, and how many parameters a function takes."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

MAX_FUNCTION_LINES = 80
MAX_FILE_LINES = 500
MAX_PARAMETERS = 6
MEDIAN_FUNCTION_LINES = 10
MEDIAN_FILE_LINES = 150

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One module."""

    name: str
    text: str


def complaints(sources: list[Source]) -> list[str]:
    """Every breach of the size budget in these modules."""
    lengths: list[int] = []
    found: list[str] = []
    for source in sources:
        lines = source.text.count("\n")
        if lines > MAX_FILE_LINES:
            found.append(f"{source.name}: {lines} lines, at most {MAX_FILE_LINES}")
        for function in _functions(source.text):
            lengths.append(_length(function))
            found += [f"{source.name}:{function.lineno} {problem}" for problem in _judge(function)]
    if sources:
        found += _judge_medians(lengths, [source.text.count("\n") for source in sources])
    return found


def _judge(function: Function) -> Iterator[str]:
    if _length(function) > MAX_FUNCTION_LINES:
        yield f"{function.name}: {_length(function)} lines, at most {MAX_FUNCTION_LINES}"
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    count = len([argument for argument in named if argument.arg not in ("self", "cls")])
    if count > MAX_PARAMETERS:
        yield f"{function.name}: {count} parameters, at most {MAX_PARAMETERS}"


def _judge_medians(function_lines: list[int], file_lines: list[int]) -> Iterator[str]:
    if function_lines and median(function_lines) > MEDIAN_FUNCTION_LINES:
        yield f"functions: median {median(function_lines)} lines, at most {MEDIAN_FUNCTION_LINES}"
    if median(file_lines) > MEDIAN_FILE_LINES:
        yield f"files: median {median(file_lines)} lines, at most {MEDIAN_FILE_LINES}"


def _functions(text: str) -> Iterator[Function]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1
