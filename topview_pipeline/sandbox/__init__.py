"""A local Topview.ai: the same wire, slots, credits, signed URLs and faults. See docs/sandbox.md.

An island: it imports nothing of the package and shares no code with the client, so that one
misreading of the API cannot hide in both. `api` answers over HTTP, `media` makes what it returns.
"""
