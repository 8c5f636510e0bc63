"""A product catalogue becomes product videos, with Dagster and Topview.ai.

The names in `__all__` are the public API; all else may change between versions. Each name is
imported when it is first used, so that the package itself loads at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from topview_pipeline.catalogue import CatalogueError, CatalogueSource
    from topview_pipeline.defs.component import TopviewCatalogue
    from topview_pipeline.defs.io_manager import TopviewResults
    from topview_pipeline.defs.pipeline import build_definitions
    from topview_pipeline.defs.resources import TopviewResource
    from topview_pipeline.errors import PipelineError
    from topview_pipeline.setting_types import SettingsError
    from topview_pipeline.settings import CatalogueDefaults, PipelineConfig
    from topview_pipeline.stages import (
        BgRemovedImage,
        FinishedVideo,
        ReplacedImages,
        Scene,
        StoredFile,
    )

    __version__: str

__all__ = [
    "BgRemovedImage",
    "CatalogueDefaults",
    "CatalogueError",
    "CatalogueSource",
    "FinishedVideo",
    "PipelineConfig",
    "PipelineError",
    "ReplacedImages",
    "Scene",
    "SettingsError",
    "StoredFile",
    "TopviewCatalogue",
    "TopviewResource",
    "TopviewResults",
    "__version__",
    "build_definitions",
]

_MODULES: Final = {
    "BgRemovedImage": "stages",
    "CatalogueDefaults": "settings",
    "CatalogueError": "catalogue",
    "CatalogueSource": "catalogue",
    "FinishedVideo": "stages",
    "PipelineConfig": "settings",
    "PipelineError": "errors",
    "ReplacedImages": "stages",
    "Scene": "stages",
    "SettingsError": "setting_types",
    "StoredFile": "stages",
    "TopviewCatalogue": "defs.component",
    "TopviewResource": "defs.resources",
    "TopviewResults": "defs.io_manager",
    "build_definitions": "defs.pipeline",
}
"""The module of each name."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        found: Any = version("topview-pipeline")
    elif name in _MODULES:
        found = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
