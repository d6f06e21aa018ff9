"""Runs a program for which setgroups, setgid and setuid succeed and do nothing.

In a user namespace that holds one user, root cannot become anybody else, and tcpdump will not run until it has. What
it wants is granted here: it stays who started it, an ordinary user. (seccomp(2), SECCOMP_RET_ERRNO with errno 0.)
"""

import ctypes
import os
import struct
import sys

SYSTEM_CALLS = {"x86_64": (116, 106, 105), "aarch64": (159, 144, 146)}     # setgroups, setgid, setuid
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
DO_NOTHING, ALLOW = 0x00050000, 0x7FFF0000
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2

numbers = SYSTEM_CALLS.get(os.uname().machine, ())
rules = [(LOAD, 0, 0, 0), *((JUMP_IF_EQUAL, len(numbers) - at, 0, call) for at, call in enumerate(numbers)),
         (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, DO_NOTHING)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
program = ctypes.create_string_buffer(struct.pack("HP", len(rules), ctypes.addressof(code)))
prctl = ctypes.CDLL(None, use_errno=True).prctl
if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0):
    sys.exit(f"seccomp: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[1], sys.argv[1:])
