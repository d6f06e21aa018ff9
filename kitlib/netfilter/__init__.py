"""A packet taken through a kernel: routes, rules, and why. Pure logic, checked against the kernel's own trace."""
