"""The questions of the lesson notebooks, one file a notebook; what several of them need is in evidence.py.

A question about a capture takes it as `seen`: it may be empty when the question is made, and has to be filled when an
answer is checked.
"""
