"""Made rows for tasks that write: articles with summaries, styles that are asked for, orders that become programs.

Every set is drawn from a seed; rows of the test stand in no training row, and the words are few enough to be learnt
from nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

PEOPLE = [
    "Ada",
    "Ben",
    "Cleo",
    "Dan",
    "Eva",
    "Finn",
    "Gus",
    "Hana",
    "Ivo",
    "Jan",
    "Kira",
    "Leo",
    "Mia",
    "Nora",
    "Otto",
    "Pia",
    "Quin",
    "Rosa",
    "Sam",
    "Tom",
]
PLACES = ["Oslo", "Rome", "Lima", "Cairo", "Paris", "Tokyo", "Delhi", "Quito", "Perth", "Malmo", "Basel", "Turin"]
THINGS = ["bridge", "school", "market", "library", "harbour", "museum", "station", "theatre", "garden", "tower"]
DEEDS = {"opened": "opens", "sold": "sells", "painted": "paints", "closed": "closes", "built": "builds"}
SIGNAL = "Above all,"
NUMBERS = {"+": ("the sum of", "add"), "*": ("the product of", "mul"), "-": ("the difference of", "sub")}
STYLES: dict[str, Callable[[str, str], str]] = {
    "polite": lambda name, news: f"Dear {name}, may I tell you that {news}?",
    "blunt": lambda name, news: f"{name}, {news}.",
    "excited": lambda name, news: f"Hey {name}! Guess what! {news[0].upper()}{news[1:]}!",
}
NEWS = [
    f"the {thing} in {place} is {state}"
    for thing in THINGS
    for place in PLACES
    for state in ("closed today", "open again", "too small", "on fire")
]


def make_article(drawn: random.Random) -> dict[str, str]:
    """Five sentences of which the one behind "Above all" is the summary, in the present and turned round."""
    facts = [
        (drawn.choice(PEOPLE), drawn.choice(list(DEEDS)), drawn.choice(THINGS), drawn.choice(PLACES)) for _ in range(5)
    ]
    chosen = drawn.randrange(1, len(facts))  # never the first: a first sentence must not be the answer
    sentences = [
        f"{SIGNAL if place == chosen else 'Then'} {who} {deed} the {thing} in {where}."
        for place, (who, deed, thing, where) in enumerate(facts)
    ]
    who, deed, thing, where = facts[chosen]
    return {"text": " ".join(sentences), "target": f"{where}: {who} {DEEDS[deed]} {thing}"}


def make_message(drawn: random.Random) -> dict[str, str]:
    """News for somebody, in the style that is asked for."""
    style, name, news = drawn.choice(list(STYLES)), drawn.choice(PEOPLE), drawn.choice(NEWS)
    return {"text": f"Tell {name} that {news}.", "control": style, "target": STYLES[style](name, news)}


def make_order(drawn: random.Random) -> dict[str, Any]:
    """An expression in words, and a program for a machine with a stack that leaves its value."""
    words, program, value = _draw_expression(drawn, drawn.choice((1, 2, 2)))
    return {"text": f"Give {words}.", "target": " ; ".join(program), "value": value}


def _draw_expression(drawn: random.Random, depth: int) -> tuple[str, list[str], int]:
    if depth == 0:
        number = drawn.randrange(20)
        return str(number), [f"push {number}"], number
    operator = drawn.choice(list(NUMBERS))
    sides = [_draw_expression(drawn, drawn.randrange(depth)), _draw_expression(drawn, depth - 1)]
    drawn.shuffle(sides)
    (one, first, a), (other, second, b) = sides
    phrase, word = NUMBERS[operator]
    value = {"+": a + b, "*": a * b, "-": a - b}[operator]
    return f"{phrase} {one} and {other}", [*first, *second, word], value


def run_program(program: str) -> int | None:
    """The number that a program leaves on the stack; None where it is no program or leaves anything else.

    Example:
        >>> run_program("push 2 ; push 3 ; add"), run_program("add"), run_program("push 2 ; push 3")
        (5, None, None)
    """
    stack: list[int] = []
    for step in program.split(" ; "):
        word, _, number = step.partition(" ")
        if word == "push" and number.isdigit():
            stack.append(int(number))
        elif word in ("add", "mul", "sub") and not number and len(stack) > 1:
            b, a = stack.pop(), stack.pop()
            stack.append({"add": a + b, "mul": a * b, "sub": a - b}[word])
        else:
            return None
    return stack[0] if len(stack) == 1 else None


def draw_rows(
    make: Callable[[random.Random], dict[str, Any]], counts: Sequence[int], seed: int
) -> list[list[dict[str, Any]]]:
    """Several lists of rows; a text stands in one of them only, once for each control word."""
    drawn, seen, lists = random.Random(f"{make.__name__}/{seed}"), set(), []
    for count in counts:
        rows: list[dict[str, Any]] = []
        while len(rows) < count:
            row = make(drawn)
            key = row["text"]
            if key not in seen:
                seen.add(key)
                rows.append(row)
        lists.append(rows)
    return lists
