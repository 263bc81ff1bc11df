"""Scenes made by hand, and the facts of any scene worked out again without the package's help."""

from textreel.synth.world.scene import Event, Look, Scene, Sound

PLACE_NAMES = {
    (0, 0): "top left",
    (0, 1): "top",
    (0, 2): "top right",
    (1, 0): "left",
    (1, 1): "centre",
    (1, 2): "right",
    (2, 0): "bottom left",
    (2, 1): "bottom",
    (2, 2): "bottom right",
}
STEPS = {"left": (0, -2), "right": (0, 2), "up": (-2, 0), "down": (2, 0)}
COUNTS = ("none", "one", "two", "three")


def look(shape="circle", colour="red", size="small", place=(0, 0), *, visible=True) -> Look:
    return Look(shape, colour, size, place, visible)


def scene(*objects: Look, events=(), sounds=(), background="black", duration_s=8.0) -> Scene:
    return Scene(background, tuple(objects), tuple(events), tuple(sounds), duration_s)


def busy_scene() -> Scene:
    """A small red circle moves right at 2.1 s, a big blue square turns pink at 5 s."""
    return scene(
        look(),
        look("square", "blue", "big", (2, 1)),
        events=(Event(2.1, "moves", 0, "right"), Event(5.0, "changes colour", 1, "pink")),
        sounds=(Sound("circle", 1.0, 3.5, on_screen=True),),
        background="grey",
    )


def replay(facts: Scene, time_s: float) -> list[dict]:
    """Every object's attributes at `time_s`, from the list of events alone."""
    objects = [
        {"shape": o.shape, "colour": o.colour, "size": o.size, "place": o.place, "seen": o.visible}
        for o in facts.objects
    ]
    for event in facts.events:
        if event.time_s > time_s:
            continue
        thing = objects[event.target]
        if event.kind == "moves":
            row, column = STEPS[event.detail]
            thing["place"] = (thing["place"][0] + row, thing["place"][1] + column)
        elif event.kind == "changes colour":
            thing["colour"] = event.detail
        elif event.kind in ("grows", "shrinks"):
            thing["size"] = {"grows": "big", "shrinks": "small"}[event.kind]
        else:
            thing["seen"] = {"appears": True, "disappears": False}[event.kind]
    return objects
