"""Whether what Topview made can be shown to customers, measured from the files alone. A leaf.

cutouts.py, scenes.py and videos.py each measure one kind of result and return a `Verdict`.
decoding.py reads a video as cheaply as that goes, standins.py knows files that show nothing on
purpose. Not here: which files belong to a task, and where a verdict is kept (`inspection`).
"""

from topview_pipeline.quality.verdict import VERSION, Outcome, Verdict, is_refused, unmeasured

__all__ = ["VERSION", "Outcome", "Verdict", "is_refused", "unmeasured"]
