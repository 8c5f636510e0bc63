"""Exports: the product report, and the manifest for shops and the gallery for people made from it.

It spends nothing and asks nobody. Not here: Dagster, and opening or serving the page (`cli`).
"""

from topview_pipeline.export.gallery import GALLERY_FILE, SERVED_FILE, Gallery, Wait
from topview_pipeline.export.manifest import Published, publish_manifest
from topview_pipeline.export.report import ProductReport, Report, build_report, read_past
from topview_pipeline.export.thumbs import THUMBS

__all__ = [
    "GALLERY_FILE",
    "SERVED_FILE",
    "THUMBS",
    "Gallery",
    "ProductReport",
    "Published",
    "Report",
    "Wait",
    "build_report",
    "publish_manifest",
    "read_past",
]
