"""Texts that nobody should hand on: keys, tokens, kubeconfigs, people. What they look like, and whether they are there.

Every pattern reads a text once: what is repeated has a limit, or cannot begin within itself.
"""

from __future__ import annotations

import re
from typing import NamedTuple

WORDS = (r"(?:pass(?:word|wd|phrase)?|pwd|token|secret|api[_-]?key|access[_-]?key(?:[_-]?id)?|client[_-]?secret|auth|"
         r"secret[_-]?(?:access[_-]?)?key|account[_-]?key|shared[_-]?access[_-]?key|private[_-]?key(?:[_-]?id)?|certificate[_-]?key|credentials?)")
VALUE = r"(?!true|false|null|none\b|[\d.]+\b(?![\w!])|/)[^\s\"'\\,;&<>{}\[\]()]{6,400}"
_SECRETS = {      # what it is -> how it looks; a group `secret` where only a part of the match is secret
    "a key or certificate": r"-----BEGIN [A-Z0-9 ]{1,60}-----(?P<secret>.*?)(?:-----END|$)",
    "an SSH key": r"\b(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-\w{1,20})\s(?P<secret>AAAA[\w+/=]{16,})",
    "a kubeconfig's key or certificate":
        r"(?:client-key|client-certificate|certificate-authority)-data\W{1,6}(?P<secret>[\w+/=]{16,})",
    "a Secret or a kubeconfig": r"\A.*\bkind\W{1,6}(?:Secret|Config)\b.*",      # all of it
    "a password in an address": r"://[^/\s:@]{0,256}:(?P<secret>[^@/\s]{1,256})@",
    "a service account's token (JWT)": r"(?<![\w-])eyJ[\w-]{10,}\.[\w-]{10,}(?:\.[\w-]+)?",
    "a bootstrap token": r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b",
    "a password or token": rf"(?i)(?:\b|_|(?<=[a-z])){WORDS}[\"'\\]{{0,4}}\s{{0,4}}[:=]\s{{0,4}}[\"'\\]{{0,4}}"
                           rf"(?:(?:bearer|basic)\s)?(?P<secret>{VALUE})",
    "a password as an argument":
        rf"(?i)--?{WORDS}(?:[\"'\\]{{0,4}},?\s{{1,40}}[\"'\\]{{0,4}}|=)(?P<secret>(?!-){VALUE})",
    "a password in a container's environment":
        rf"(?i)\"name\":\s{{0,40}}\"[\w.-]{{0,80}}{WORDS}[\w.-]{{0,80}}\",\s{{0,80}}"
        r"\"value\":\s{0,40}\"(?P<secret>[^\"]{1,400})",
    "an authorization header": r"(?i)\b(?:authorization\W{1,5}\w{1,20}|bearer)\s{1,4}(?P<secret>[\w.~+/=-]{6,})",
    "an AWS key": r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}\b",
    "an AWS account": r"\barn:aws[\w-]{0,10}:[\w-]{0,30}:[\w-]{0,30}:(?P<secret>\d{12})\b|\b\d{12}\.dkr\.ecr\b",
    "a token of a known service":
        r"\b(?:gh[opsur]_|github_pat_|glpat-|gl\w{2,5}-|xox[abeprs]-|AIza|ya29\.|[prs]k_(?:live|test)_|sk-|npm_|pypi-|"
        r"hvs\.|hf_|glsa_|dckr_pat_|dop_v1_|SG\.|shpat_|whsec_|PMAK-|lin_api_|tskey-)[\w.-]{16,}",
    "a cookie": r"(?i)\bcookie:\s{1,4}(?P<secret>[\w.-]{1,64}=[^\r\n\"\\]{4,400})",
    "a password of curl": r"\bcurl\b[^\r\n]{0,200}?\s(?:-u|--user)[ =](?P<secret>[^\s:]{1,64}:[^\s\"]{1,256})",
    "a Slack hook": r"hooks\.slack\.com/services/(?P<secret>[\w/]{10,})",
    "a signature": r"[?&](?:sig|signature|X-Amz-Signature)=(?P<secret>[\w%+/=-]{10,})",
}
_PERSONAL = {
    "an e-mail address": r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}(?!service\b|socket\b|slice\b)"
                         r"[A-Za-z]{2,24}\b",
    "somebody's home folder": r"/(?:home|Users)/(?P<secret>[\w.-]{1,64})",
    "a telephone number": r"(?<![\w+])\+\d{1,3}[ ./-]?\(?\d{2,5}\)?(?:[ ./-]?\d{2,5}){2,4}\b",
    "a host's name": r"(?<![\w.-])(?:[\w-]{1,63}\.){1,8}(?:compute\.internal|amazonaws\.com|googleusercontent\.com|"
                     r"azure\.com|windows\.net|corp|internal|intranet|lan|localdomain)\b|\b(?:ip|ec2)-\d{1,3}(?:-\d{1,3}){3}\b",
}
# One of these stands in every text that the pattern finds: most texts hold none, and need no pattern. Without the
# letter i: patterns that ignore case also take its Turkish forms for it, and casefold() does not.
NAMED = "pass pwd token secret key auth creden"
_NEEDS = {
    "a key or certificate": "-----begin", "an SSH key": "aaaa", "a kubeconfig's key or certificate": "-data",
    "a Secret or a kubeconfig": "secret config", "a password in an address": "://",
    "a service account's token (JWT)": "eyj", "a bootstrap token": ".", "a password or token": NAMED,
    "a password as an argument": NAMED, "a password in a container's environment": '"value"',
    "an authorization header": "author bearer", "an AWS key": "akia asia aroa aida",
    "an AWS account": "arn:aws .dkr.ecr",
    "a token of a known service": "gh gl xox aiza ya29. k_live_ k_test_ sk- npm_ pypi- hvs. hf_ dckr_pat_ dop_v1_ sg. "
                                  "shpat_ whsec_ pmak- lin_api_ tskey-",
    "a cookie": "cook", "a password of curl": "curl", "a Slack hook": "hooks.slack.com/services/",
    "a signature": "sig= signature=", "an e-mail address": "@", "somebody's home folder": "home/ users/",
    "a telephone number": "+", "a host's name": ".compute.internal .amazonaws.com .googleusercontent.com .azure.com "
                                               ".windows.net .corp .internal .intranet .lan .localdomain ip- ec2-",
}


class Shape(NamedTuple):
    """How something looks, and what stands in every text that holds it."""

    pattern: re.Pattern
    needs: tuple[str, ...]


SECRETS, PERSONAL = ({what: Shape(re.compile(pattern, re.DOTALL), tuple(_NEEDS[what].split()))
                      for what, pattern in patterns.items()} for patterns in (_SECRETS, _PERSONAL))


def likely_in(text: str, shapes: dict[str, Shape]) -> dict[str, Shape]:
    """Return those of the shapes that may be in a text: it holds what they need."""
    folded = text.casefold()
    return {what: shape for what, shape in shapes.items() if any(need in folded for need in shape.needs)}


def masked(text: str, shapes: dict[str, Shape]) -> str:
    """Return the text with an x for every character of what these shapes look for."""
    for shape in likely_in(text, shapes).values():
        text = shape.pattern.sub(lambda match: match[0].replace(_secret(match), "x" * len(_secret(match))), text)
    return text


def found_in(text: str, shapes: dict[str, Shape]) -> tuple[str, ...]:
    """Name what of this is in a text: "an SSH key", …; what was made unreadable already does not count."""
    return tuple(what for what, shape in likely_in(text, shapes).items()
                 if any(set(_secret(match)) - set("x\\n") for match in shape.pattern.finditer(text)))


def _secret(match: re.Match) -> str:
    return match.groupdict().get("secret") or match[0]
