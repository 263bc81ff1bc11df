"""Answers such as a language model gives, made from word lists: for measuring and testing only.

The same topic gives the same answer; different topics give different stories.
"""

import json
from random import Random

from textreel.models.endpoint_wire import completion_body

_PEOPLE = "woman|man|girl|boy|cook|farmer|nurse|painter|fisher|baker|tailor|teacher".split("|")
_PLACES = "kitchen|garden|workshop|market|harbour|classroom|forest|station|attic|barn".split("|")
_THINGS = (
    "bowl|ladder|basket|hammer|lantern|bicycle|kettle|rope|bucket|drum|kite|blanket|shovel|jar|"
    "wheel|mirror|brush|clock|crate|saddle"
).split("|")
_LOOKS = "wooden|rusty|tall|small|painted|heavy|shiny|old|narrow|round|striped|dusty".split("|")
_DEEDS = (
    "lifts|turns|cleans|carries|opens|fills|empties|repairs|shakes|hides|measures|drops"
).split("|")
_SIDES = "near the window|beside the door|under the table|by the wall|on the bench".split("|")
_KINDS = "order|cause|count|change|purpose".split("|")
_LETTERS = "ABCD"


def story(topic: str, *, frames: int | None = None) -> dict[str, object]:
    """Return an answer about a topic, as the JSON schema of `synth textvid` wants it."""
    rng = Random(topic)
    person, place = rng.choice(_PEOPLE), rng.choice(_PLACES)
    things = rng.sample(_THINGS, 5)
    looks = {thing: rng.choice(_LOOKS) for thing in things}
    count = frames or rng.randint(5, 15)
    moments = []
    for _ in range(count):
        thing, deed, side = rng.choice(things), rng.choice(_DEEDS), rng.choice(_SIDES)
        named = f"{looks[thing]} {thing}"
        caption = f"In the {place}, the {person} {deed} the {named} {side}, {rng.choice(_LOOKS)}."
        objects = [
            {"name": thing, "description": f"a {named} {side}"},
            {"name": person, "description": f"a {person} who {deed} something"},
        ]
        moments.append({"caption": caption.replace(", ", " and ", 1), "objects": objects})
    used = ", then the ".join(things)
    return {
        "topic": topic,
        "frames": moments,
        "caption": f"A {person} works in the {place} on {topic}. The {used} are used in turn.",
        "questions": [_question(rng, kind, person, things) for kind in _KINDS],
    }


def story_body(topic: str, *, frames: int | None = None) -> str:
    """Return the body that an endpoint would send."""
    content = json.dumps(story(topic, frames=frames))
    return completion_body(content, finish="stop", tokens_in=600, tokens_out=len(content) // 4)


def topic_of(text: str) -> str:
    """Return the topic that the package's prompt asks about."""
    return text.split('Topic: "', 1)[1].split('"\n', 1)[0]


def _question(rng: Random, kind: str, person: str, things: list[str]) -> dict[str, object]:
    options = rng.sample(things, 4)
    answer = rng.randrange(4)
    place = rng.choice(_SIDES)
    return {
        "kind": kind,
        "question": f"Which thing does the {person} touch {place}, as to {kind}?",
        "options": [f"the {thing}" for thing in options],
        "answer": _LETTERS[answer],
        "open_answer": f"It is the {options[answer]}.",
    }
