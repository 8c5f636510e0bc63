"""The files that a successful task leaves: ids, lineage, storage keys as the documents show."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .records import File, Task
from .state import new_id
from .work import MadeFile


@dataclass(frozen=True)
class Output:
    """A file of a task and the bytes that go into it."""

    file: File
    content: bytes


def output_files(task: Task, made: Iterable[MadeFile]) -> Iterator[Output]:
    """Name what was made. The lineage is the work and the position, never the bytes."""
    folder = new_id()
    for index, item in enumerate(made):
        file = File(
            id=new_id(),
            uid=task.uid,
            role=item.role,
            key=_key(item.role, task.uid, folder, index),
            content_type=item.content_type,
            lineage=f"{task.content}#{item.role}{index}",
            created_at=task.ended_at or 0.0,
            task_id=task.id,
            width=item.width,
            height=item.height,
            face_existence=item.face_existence,
        )
        yield Output(file, item.content)


def _key(role: str, uid: str, folder: str, index: int) -> str:
    name = new_id()
    return {
        "cutout": f"analyzed_video/task/background_removed/{folder}/cropped_image.png",
        "mask": f"analyzed_video/task/background_removed/{folder}/mask.png",
        "scene": f"analyzed_video/task/object_replace_llm/{name}/{name}_{index + 1}.png",
        "video": f"analyzed_video/task/export/{name}_topview.ai.mp4",
        "cover": f"analyzed_video/task/custom_aiavatar/{uid}/product_avatar/{name}.jpg",
        "preview": f"aiavatar/user_instant_model/{uid}/{folder}/result/{name}.mp4",
    }[role]
