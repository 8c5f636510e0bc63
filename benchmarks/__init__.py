"""The pipeline's costs, in numbers of one run of `python -m benchmarks` (`make bench`).

Everything is measured against the sandbox on this machine, with tiny media. What does the work
being measured always has a process of its own, and the sandbox another.
"""
