"""The baseline: the script that one would write without the pipeline.

asyncio and httpx alone: a semaphore (first in, first out), fixed polling, uploads before a slot is
taken and downloads after it is given back. It remembers nothing and retries nothing.
`python -m benchmarks.bare SPEC` runs it in a process of its own.
"""

from __future__ import annotations

import asyncio
import csv
from pathlib import Path
from typing import Any

import httpx

from benchmarks import processes

_CUT = "/v1/common_task/remove_background"
_SCENE = "/v2/product_avatar/task/image_replace"
_VIDEO = "/v2/product_avatar/task/image2Video"
_PARALLEL_TRANSFERS = 8


class Script:
    """Makes the videos of a catalogue.

    Args:
        media: carries uploads and downloads; signed URLs refuse the API's headers.
        spec: how many slots, how often to query, which catalogue, and where the results go.
    """

    def __init__(
        self, api: httpx.AsyncClient, media: httpx.AsyncClient, spec: dict[str, Any]
    ) -> None:
        self._api = api
        self._media = media
        self._slots = asyncio.Semaphore(spec["slots"])
        self._transfers = asyncio.Semaphore(_PARALLEL_TRANSFERS)
        self._interval = spec["poll_seconds"]
        self._folder = Path(spec["folder"])
        self._catalogue = Path(spec["catalogue"])
        self._templates: dict[Path, asyncio.Task[str]] = {}

    async def run(self) -> None:
        """Make them all at once."""
        with self._catalogue.open(newline="") as file:
            rows = list(csv.DictReader(file))
        await asyncio.gather(*(self._product(row, self._catalogue.parent) for row in rows))

    async def _product(self, row: dict[str, str], beside: Path) -> None:
        name = row["product_id"]
        photo = await self._upload(beside / row["image"])
        cut = await self._task(_CUT, {"productImageFileId": photo})
        await self._download(cut["bgRemovedImagePath"], f"{name}-cutout.png")
        await self._download(cut["maskImagePath"], f"{name}-mask.png")
        body = {
            "generateImageMode": "auto",
            "productImageWithoutBackgroundFileId": cut["bgRemovedImageFileId"],
            "templateImageFileId": await self._template(beside / row["template_image"]),
            "imageEditPrompt": row["image_edit_prompt"],
        }
        images = (await self._task(_SCENE, body))["replaceProductResult"]
        for number, image in enumerate(images):
            await self._download(image["url"], f"{name}-scene-{number}.png")
        body = {
            "replaceProductTaskImageId": images[0]["imageId"],
            "mode": row["mode"],
            "scriptMode": "text",
            "ttsText": row["script"],
            "voiceId": row["voice_id"],
        }
        video = await self._task(_VIDEO, body)
        await self._download(video["finishedVideoUrl"], f"{name}.mp4")

    async def _template(self, path: Path) -> str:
        if path not in self._templates:
            self._templates[path] = asyncio.create_task(self._upload(path))
        return await self._templates[path]

    async def _task(self, path: str, body: dict[str, str]) -> Any:
        """Submit, and query until it is done, in a slot."""
        async with self._slots:
            answer = await self._call("POST", f"{path}/submit", json=body)
            task = {"taskId": answer["taskId"]}
            while True:
                await asyncio.sleep(self._interval)
                result = await self._call("GET", f"{path}/query", params=task)
                if result["status"] == "success":
                    return result
                if result["status"] == "fail":
                    raise RuntimeError(result["errorMsg"])

    async def _call(self, method: str, path: str, **what: Any) -> Any:
        envelope = (await self._api.request(method, path, **what)).json()
        if envelope["code"] != "200":
            raise RuntimeError(f"{path}: {envelope}")
        return envelope["result"]

    async def _upload(self, path: Path) -> str:
        async with self._transfers:
            form = {"format": path.suffix[1:]}
            given = await self._call("GET", "/v1/upload/credential", params=form)
            put = await self._media.put(given["uploadUrl"], content=path.read_bytes())
            put.raise_for_status()
            await self._call("GET", "/v1/upload/check", params={"fileId": given["fileId"]})
            return str(given["fileId"])

    async def _download(self, url: str, name: str) -> None:
        async with self._transfers:
            answer = await self._media.get(url)
            answer.raise_for_status()
            (self._folder / name).write_bytes(answer.content)


async def main(spec: dict[str, Any]) -> None:
    """Run the script as the spec says."""
    headers = {"Topview-Uid": spec["uid"], "Authorization": f"Bearer {spec['api_key']}"}
    common: dict[str, Any] = {
        "timeout": 60.0,
        "trust_env": False,
        "limits": httpx.Limits(max_connections=200),
    }
    async with (
        httpx.AsyncClient(base_url=spec["base_url"], headers=headers, **common) as api,
        httpx.AsyncClient(**common) as media,
    ):
        await Script(api, media, spec).run()


if __name__ == "__main__":
    asyncio.run(main(processes.spec()))
    processes.report()
