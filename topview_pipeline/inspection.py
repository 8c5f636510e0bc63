"""Measuring what a stored task made, once, and remembering it in the ledger.

What counts as good is in `quality`. A verdict is kept in the task's row: whoever takes the result
from the store, or shares it, has it for nothing, and `quality.is_refused(task.quality)` says what
must not be exported. Knows nothing of Dagster.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from topview_pipeline.artifacts import Artifact, ArtifactStore, StoreError
from topview_pipeline.ledger import Ledger, Task
from topview_pipeline.producer import data_version
from topview_pipeline.quality import Outcome, Verdict, unmeasured
from topview_pipeline.stages import BG_REMOVED_IMAGE, FINISHED_VIDEO, REPLACED_IMAGES

if TYPE_CHECKING:
    from PIL import Image


def verdict_of(task: Task, ledger: Ledger, store: ArtifactStore) -> Verdict:
    """What measuring a stored row says; measured now only if nobody did by today's rules."""
    known = Verdict.from_json(task.quality)
    if known is not None:
        return known
    verdict, is_lasting = _measured(task, ledger, store)
    if is_lasting:
        ledger.tasks.measured(task.id, verdict.to_json())
    return verdict


def _measured(task: Task, ledger: Ledger, store: ArtifactStore) -> tuple[Verdict, bool]:
    """A verdict, and whether it would be the same tomorrow: a disk or a store may answer again."""
    # Pillow and FFmpeg take 0.3 s to import, and the code location must load without them.
    from topview_pipeline.probes import MediaProbeError, MediaUnreadError

    try:
        return _MEASURES[task.stage](task, ledger, store), True
    except MediaUnreadError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return unmeasured("a file of it is gone from the store"), False
        return unmeasured(f"a file of it {error.what}"), False
    except MediaProbeError as error:
        mend = "Have it made anew with force."
        return Verdict(Outcome.FAILED, f"A file of it {error.what}.", mend), True
    except (StoreError, OSError) as error:
        return unmeasured(f"the store does not give its files ({error})"), False
    except MemoryError:
        return unmeasured("there is not enough memory to look at it"), False
    except KeyError as error:
        return unmeasured(f"it has no {error.args[0]}"), True


def _cutout(task: Task, _ledger: Ledger, store: ArtifactStore) -> Verdict:
    from topview_pipeline.quality.cutouts import measure_cutout

    files = _files(task)
    mask = files.get("mask.png")
    return measure_cutout(
        _picture(files["cutout.png"], store),
        None if mask is None else _size(mask, store),
    )


def _scene(task: Task, ledger: Ledger, store: ArtifactStore) -> Verdict:
    from topview_pipeline.quality.scenes import SceneImage, measure_scene

    files = _files(task)
    said = (task.result or {}).get("replaceProductResult") or []
    images = [
        SceneImage(_picture(files[name], store), image.get("faceExistence"))
        for number, image in enumerate(said, 1)
        if (name := f"scene_{number}.png") in files
    ]
    place = (task.request or {}).get("location")
    cutout = None if place is None else _cutout_behind(task, ledger)
    shown = None if cutout is None else _picture(cutout, store)
    return measure_scene(images, shown, place)


def _video(task: Task, _ledger: Ledger, store: ArtifactStore) -> Verdict:
    from topview_pipeline.quality.expectations import Speech
    from topview_pipeline.quality.videos import measure_video

    file = _files(task)["video.mp4"]
    is_recorded = (task.request or {}).get("scriptMode") == "audio"
    speech = None if task.seconds is None else Speech(task.seconds, is_recorded)
    media = store.local_path(file) or store.read_bytes(file)
    return measure_video(media, mode=task.mode, speech=speech)


_MEASURES = {
    BG_REMOVED_IMAGE.key: _cutout,
    REPLACED_IMAGES.key: _scene,
    FINISHED_VIDEO.key: _video,
}


def _files(task: Task) -> dict[str, Artifact]:
    return {artifact.name: artifact for artifact in map(Artifact.from_json, task.artifacts or ())}


def _cutout_behind(scene: Task, ledger: Ledger) -> Artifact | None:
    """The cut-out that a scene was made from; another one may have been stored since."""
    stored = ledger.tasks.last_stored(scene.product_id, BG_REMOVED_IMAGE.key)
    wanted = scene.inputs.get(BG_REMOVED_IMAGE.key)
    if stored is None or data_version(stored.fingerprint) != wanted:
        return None
    return _files(stored).get("cutout.png")


def _picture(file: Artifact, store: ArtifactStore) -> Image.Image:
    """A stored picture, decoded. Raises MediaProbeError and MediaUnreadError."""
    with _opened(file, store) as image:
        image.load()
        return image


def _size(file: Artifact, store: ArtifactStore) -> tuple[int, int]:
    """Pixels of a stored picture, of which no more than the header is read."""
    with _opened(file, store) as image:
        return image.size


@contextmanager
def _opened(file: Artifact, store: ArtifactStore) -> Iterator[Image.Image]:
    from PIL import Image

    from topview_pipeline.probes import reading

    path = store.local_path(file)
    media = path or io.BytesIO(store.read_bytes(file))
    with reading(path or file.path), Image.open(media) as image:
        yield image
