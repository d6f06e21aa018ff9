"""What live labs share: programs that run now, captures, the kernel's rule trace, several machines' clocks."""
