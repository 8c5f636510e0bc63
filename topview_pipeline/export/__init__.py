"""Exports: the product report, and the manifest for shops and the gallery for people made from it.

It spends nothing and asks nobody. Not here: Dagster, and opening or serving the page (`cli`).
"""

from topview_pipeline.export.gallery import GALLERY_FILE, PHOTOS, SERVED_FILE, write_gallery
from topview_pipeline.export.manifest import Published, publish_manifest
from topview_pipeline.export.report import ProductReport, Report, build_report

__all__ = [
    "GALLERY_FILE",
    "PHOTOS",
    "SERVED_FILE",
    "ProductReport",
    "Published",
    "Report",
    "build_report",
    "publish_manifest",
    "write_gallery",
]
