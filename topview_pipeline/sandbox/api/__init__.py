"""The HTTP side: routes, tasks, credits, signed URLs, faults, counters. It makes no media."""
