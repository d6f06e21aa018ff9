"""What a cluster says when it does not let us in, each as one sentence with the command that shows it."""

from __future__ import annotations

import re

from kitlib.errors import NoAccess

# What kubectl prints, and what that means. {can_i} is the command that asks for the right.
REASONS = (
    (r"violates PodSecurity", "Pod Security does not admit a privileged pod in the namespace {namespace}. Choose "
     "one that admits it, KITLIB_NAMESPACE=NAME; labels: kubectl get namespace {namespace} --show-labels."),
    (r"\(Forbidden\)|forbidden:", "Your account may not do this. To see it: {can_i}."),
    (r"unknown profile|invalid profile|unknown flag: --profile|profile .*(not supported|must be)",
     "This kubectl does not know the profile it was given: kubectl 1.30 or newer does. To see yours: kubectl version."),
    (r"Unable to connect|was refused|\(Timeout\)|deadline exceeded|i/o timeout|handshake timeout|no such host",
     "The API server does not answer. To see it: kubectl --request-timeout=5s auth can-i create pods."),
    (r"ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull",
     "The node could not pull the image {image}. Name one that it has or can pull: KITLIB_TOOLS_IMAGE=IMAGE."),
    (r"\(NotFound\)", "That is not there. To see what is: kubectl get nodes; kubectl get pods -A."),
    (r"timed out waiting", "The pod was not ready in time; the image {image} may still be on its way, or the node is "
     "full. To see it: kubectl -n {namespace} get events."),
)


def refusal(doing: str, stderr: str, **facts: str) -> NoAccess:
    """Return the error for what kubectl printed; `facts` are the namespace, the image and the can_i command."""
    meaning = next((words for pattern, words in REASONS if re.search(pattern, stderr)), "To see more: {can_i}.")
    last = (stderr.strip().splitlines() or ["nothing"])[-1]
    return NoAccess(f"{doing} was refused. {meaning.format(**facts)} (kubectl said: {last})")
