#!/bin/sh
# One place of the lab: its own files (a table of mounts) and its own host name. A place is there as long as a process is in it.
mount --all --fstab "$1/fstab" && hostname "$2" && echo "place $1 $$" || echo "failed: place $1"
exec sleep infinity
