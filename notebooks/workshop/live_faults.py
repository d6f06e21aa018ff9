"""Break a live lab with commands, run what the learner typed, ask the network again, and leave nothing broken."""

from __future__ import annotations

import atexit
from contextlib import suppress
from dataclasses import replace

from kitlib.errors import KitError, NotFound, PlaceGone
from kitlib.lab import Lab
from kitlib.place import Pod
from kitlib.sighting import VantagePoint
from workshop.case import Case
from workshop.command_effects import EFFECTS, check_is_known
from workshop.faults import KEPT_PORT, Commands, live_recipes, placed_commands
from workshop.typed_commands import parse_commands


def break_lab(lab: Lab, pod: Pod, name: str) -> None:
    """Make this fault now; it is fixed when this Python ends. Raises NotFound, which lists what can be broken."""
    if lab.name != "netns":       # a learner's own cluster is not ours to break
        raise NotFound(f"Nothing can be broken on {lab.backend}. The netns lab is for that: open_lab(\"netns\").")
    recipes = live_recipes(lab)
    if name not in recipes:
        raise NotFound(f"The fault {name!r} cannot be made on the netns lab. These can: {', '.join(recipes)}.")
    atexit.register(fix_lab, lab, pod, name)
    try:
        _run(lab, pod, recipes[name].breaks)
    except KitError:
        fix_lab(lab, pod, name)
        raise


def fix_lab(lab: Lab, pod: Pod, name: str) -> None:
    """Undo this fault; what somebody has fixed already stays as it is, and a lab that has ended has no fault."""
    steps = []
    with suppress(PlaceGone):
        recipe = live_recipes(lab)[name]
        steps = placed_commands(lab, pod, recipe.fixes + recipe.tidies)
    for step in steps:
        with suppress(KitError):
            if not _rule_exists(lab, *step):
                lab.run(*step)


def _rule_exists(lab: Lab, place: str, argv: tuple[str, ...]) -> bool:
    """Say whether this command would insert an iptables rule that is there already."""
    if "-I" not in argv:
        return False
    at = argv.index("-I")
    rule = argv[at + 3:] if argv[at + 2].isdigit() else argv[at + 2:]
    return lab.run(place, (*argv[:at], "-C", argv[at + 1], *rule)).rc == 0


def _run(lab: Lab, pod: Pod, steps: Commands) -> None:
    for place, argv in placed_commands(lab, pod, steps):
        result = lab.run(place, argv)
        if result.rc:
            raise KitError(f"This failed, so the lab is not as it should be:\n{result}")


def run_typed(lab: Lab, typed: str) -> None:
    """Run the commands that a learner typed, where they say. Raises ParseError for any that fixes no network."""
    places = {at.name: at.id for at in (*lab.nodes, *lab.containers, *lab.pods())}
    for place, argv in parse_commands(typed):
        check_is_known(argv, (*EFFECTS, "nft"))
        result = lab.run(places.get(place.rpartition(":")[2], "host"), tuple(argv))
        if result.rc:
            raise KitError(f"This failed:\n{result}")


def ask_again(case: Case, points: tuple[VantagePoint, ...]) -> Case:
    """Return the case with what the pod's own queries, asked again now, meet at these vantage points."""
    queries = {(journey.question, journey.client_leg.client.port) for journey in case.own_journeys if journey.question}
    with case.lab.capture(*points) as seen:
        for question, port in queries:      # from a new port, unless the client keeps its own
            source = f"{case.pod.address}#{port if port == KEPT_PORT else 0}"
            case.pod.dig("+tries=1", "+timeout=1", "-b", source, question.name, question.type)
    return replace(case, journeys=seen.journeys())
