#!/bin/sh
# Process 1 of a netns lab: its namespaces, and all that is in them, last exactly as long as it does.
# It reads argument lists from stdin, one a line, and starts each in the background. Before an argument list,
#   hold  starts what stays: it is not waited for.
#   wait  waits for all others, then says the words that follow.
# At the end of its input the lab ends; "stay" makes it stay for ever.
set -f
while read -r first rest; do
    case $first in
        hold) ($rest &) ;;
        wait) wait; echo "$rest" ;;
        stay) echo "this lab stays"; sleep infinity & wait ;;
        *) { $first $rest || echo "failed: $first $rest"; } & ;;
    esac
done
