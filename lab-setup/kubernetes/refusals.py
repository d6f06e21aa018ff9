"""What a cluster says when it does not let us in, each as one sentence with the command that shows it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kitlib.errors import Denied, NoAccess

# What kubectl prints, and what that means. {can_i} is the command that asks for the right.
REASONS = (
    (r"violates PodSecurity", "Pod Security does not admit a privileged pod in the namespace {namespace}. Choose "
     "one that admits it, KITLIB_NAMESPACE=NAME; labels: kubectl get namespace {namespace} --show-labels."),
    (r"\(Forbidden\)|forbidden:", "Your account may not do this. To see it: {can_i}."),
    (r"unknown profile|invalid profile|unknown flag: --profile|profile .*(not supported|must be)",
     "This kubectl does not know the profile it was given: kubectl 1.30 or newer does. To see yours: kubectl version."),
    (r"ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull",
     "The node could not pull the image {image}. Name one that it has or can pull: KITLIB_TOOLS_IMAGE=IMAGE."),
    (r"Unable to connect|was refused|\(Timeout\)|deadline exceeded|i/o timeout|handshake timeout|no such host",
     "The API server does not answer. To see it: kubectl --request-timeout=5s auth can-i create pods."),
    (r"\(NotFound\)", "That is not there. To see what is: kubectl get nodes; kubectl get pods -A."),
    (r"timed out waiting", "The pod was not ready in time; the image {image} may still be on its way, or the node is "
     "full. To see it: kubectl -n {namespace} get events."),
)
DENIALS = 3         # the first of them: another way may be allowed


# kubectl's own words for a right that is missing: the verb, the resource and its subresource, where.
MISSING = re.compile(r'cannot (\w+) resource "(\w+)/?(\w*)" in API group "[^"]*" (?:in the namespace "([^"]+)")?')


def refusal(doing: str, stderr: str, kubectl: Sequence[str], namespace: str = "", image: str = "") -> NoAccess:
    """Return the error for what kubectl printed; `kubectl` is how the command began."""
    number, meaning = next(((number, words) for number, (pattern, words) in enumerate(REASONS)
                            if re.search(pattern, stderr)), (0, "To see more: {can_i}."))
    last = (stderr.strip().splitlines() or ["nothing"])[-1]
    words = meaning.format(namespace=namespace, image=image, can_i=_can_i(stderr, " ".join(kubectl), namespace))
    return (Denied if number < DENIALS else NoAccess)(f"{doing} cannot be had. {words} (kubectl said: {last})")


def _can_i(stderr: str, kubectl: str, namespace: str) -> str:
    """Return the command that asks for the right that is missing, or for all that there are."""
    if not (missing := MISSING.search(stderr)):
        return f"{kubectl} auth can-i --list{f' -n {namespace}' if namespace else ''}"
    verb, resource, part, where = missing.groups()
    return (f"{kubectl} auth can-i {verb} {resource}{f' --subresource={part}' if part else ''}"
            f"{f' -n {where}' if where else ' -A'}")
