"""The defs folder of this dg project: what `dg scaffold defs` writes here is loaded."""
