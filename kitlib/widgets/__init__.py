"""What answers to a click or a key; without a kernel, each reads as HTML and text."""
