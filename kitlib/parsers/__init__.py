"""One format a file: text or bytes in, facts out. Nothing here runs a command or knows a lab."""
