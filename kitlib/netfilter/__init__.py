"""What a machine's rules and routes do to a packet, and why: pure logic, checked against the kernel's own trace."""
