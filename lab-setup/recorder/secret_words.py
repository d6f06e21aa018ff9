"""Texts that nobody should hand on: keys, tokens, kubeconfigs. What they look like, and whether they are in a text."""

from __future__ import annotations

import re

SECRETS = {      # what it is -> how it looks; a group `secret` where only a part of the match is secret
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?P<secret>.*?)(?:-----END|$)",
    "a kubeconfig's key or certificate":
        r"(?:client-key|client-certificate|certificate-authority)-data\W+(?P<secret>[\w+/=]{16,})",
    "a Secret or a kubeconfig": r"\bkind\W{1,6}(?:Secret|Config)\b",
    "a password in an address": r"://[^/\s:@]+:(?P<secret>[^@/\s]+)@",
    "a service account's token (JWT)": r"\beyJ[\w-]{10,}\.[\w-]{10,}(?:\.[\w-]+)?",
    "a bootstrap token": r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b",
    "a password or token":
        r"(?i)\b(?:password|passwd|token|secret|api[_-]?key)[\"\\]*\s*[:=]\s*[\"\\]*(?P<secret>[\w+/=.~-]{16,})",
}
_PATTERNS = {what: re.compile(pattern, re.DOTALL) for what, pattern in SECRETS.items()}


def secrets_in(text: str) -> tuple[str, ...]:
    """What secrets stand in a text: "a private key", …; what was made unreadable already does not count."""
    return tuple(what for what, pattern in _PATTERNS.items()
                 if any(set(_secret(match)) - set("x\\n") for match in pattern.finditer(text)))


def without_secrets(text: str) -> str:
    """The text with an x for every character of a secret."""
    for pattern in _PATTERNS.values():
        text = pattern.sub(lambda match: match[0].replace(_secret(match), "x" * len(_secret(match))), text)
    return text


def _secret(match: re.Match) -> str:
    return match.groupdict().get("secret") or match[0]
