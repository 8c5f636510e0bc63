"""The textbook: the same videos as three plain Dagster assets, a code location.

Written as Dagster's own documents have it: an asset for each stage, partitioned by product, a
resource for the API, values handed on by the IO manager, Dagster's default executor, one run for
each product, and the asset itself polls until its task is done. It leaves out what a first version
would leave out too (a ledger, reuse, metadata, previews), so that nothing slows it down.
"""

import csv
import time
from pathlib import Path
from typing import Any

import dagster as dg
import httpx

products = dg.DynamicPartitionsDefinition(name="products")
_CUT = "/v1/common_task/remove_background"
_SCENE = "/v2/product_avatar/task/image_replace"
_VIDEO = "/v2/product_avatar/task/image2Video"


class Topview(dg.ConfigurableResource):  # type: ignore[type-arg]  # takes any value
    """Topview: upload, a task from submit to result, download. Blocking, clients for each step."""

    base_url: str
    uid: str
    api_key: str
    poll_seconds: float
    folder: str

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        """Open the clients; signed URLs refuse the API's headers."""
        headers = {"Topview-Uid": self.uid, "Authorization": f"Bearer {self.api_key}"}
        self._api = httpx.Client(
            base_url=self.base_url, headers=headers, timeout=60.0, trust_env=False
        )
        self._media = httpx.Client(timeout=60.0, trust_env=False)

    def upload(self, path: Path) -> str:
        """The file id of a picture."""
        given = self._call("GET", "/v1/upload/credential", params={"format": path.suffix[1:]})
        self._media.put(given["uploadUrl"], content=path.read_bytes()).raise_for_status()
        self._call("GET", "/v1/upload/check", params={"fileId": given["fileId"]})
        return str(given["fileId"])

    def make(self, path: str, body: dict[str, str]) -> dict[str, Any]:
        """Submit a task and poll until it is done."""
        answer = self._call("POST", f"{path}/submit", json=body)
        while True:
            result = self._call("GET", f"{path}/query", params={"taskId": answer["taskId"]})
            if result["status"] == "success":
                return result
            if result["status"] == "fail":
                raise dg.Failure(result["errorMsg"])
            time.sleep(self.poll_seconds)

    def download(self, url: str, name: str) -> None:
        """Keep what was made."""
        answer = self._media.get(url).raise_for_status()
        Path(self.folder, name).write_bytes(answer.content)

    def _call(self, method: str, path: str, **what: Any) -> dict[str, Any]:
        envelope = self._api.request(method, path, **what).raise_for_status().json()
        if envelope["code"] != "200":
            raise dg.Failure(f"{path}: {envelope}")
        result: dict[str, Any] = envelope["result"]
        return result


class Catalogue(dg.ConfigurableResource):  # type: ignore[type-arg]  # takes any value
    """The CSV of the products."""

    path: str

    def row(self, product_id: str) -> dict[str, str]:
        """One product."""
        with Path(self.path).open(newline="") as file:
            return next(row for row in csv.DictReader(file) if row["product_id"] == product_id)

    def file(self, name: str) -> Path:
        """A file that a row names."""
        return Path(self.path).parent / name


@dg.asset(partitions_def=products)
def bgRemovedImage(  # noqa: N802
    context: dg.AssetExecutionContext, topview: Topview, catalogue: Catalogue
) -> dict[str, Any]:
    """The product without its background."""
    row = catalogue.row(context.partition_key)
    photo = topview.upload(catalogue.file(row["image"]))
    cut = topview.make(_CUT, {"productImageFileId": photo})
    topview.download(cut["bgRemovedImagePath"], f"{context.partition_key}-cutout.png")
    topview.download(cut["maskImagePath"], f"{context.partition_key}-mask.png")
    return cut


@dg.asset(partitions_def=products)
def replacedImages(  # noqa: N802
    context: dg.AssetExecutionContext,
    bgRemovedImage: dict[str, Any],  # noqa: N803
    topview: Topview,
    catalogue: Catalogue,
) -> dict[str, Any]:
    """The product in its scene."""
    row = catalogue.row(context.partition_key)
    body = {
        "generateImageMode": "auto",
        "productImageWithoutBackgroundFileId": bgRemovedImage["bgRemovedImageFileId"],
        "templateImageFileId": topview.upload(catalogue.file(row["template_image"])),
        "imageEditPrompt": row["image_edit_prompt"],
    }
    scene = topview.make(_SCENE, body)
    for number, image in enumerate(scene["replaceProductResult"]):
        topview.download(image["url"], f"{context.partition_key}-scene-{number}.png")
    return scene


@dg.asset(partitions_def=products)
def finishedVideo(  # noqa: N802
    context: dg.AssetExecutionContext,
    replacedImages: dict[str, Any],  # noqa: N803
    topview: Topview,
    catalogue: Catalogue,
) -> None:
    """The video."""
    row = catalogue.row(context.partition_key)
    body = {
        "replaceProductTaskImageId": replacedImages["replaceProductResult"][0]["imageId"],
        "mode": row["mode"],
        "scriptMode": "text",
        "ttsText": row["script"],
        "voiceId": row["voice_id"],
    }
    video = topview.make(_VIDEO, body)
    topview.download(video["finishedVideoUrl"], f"{context.partition_key}.mp4")


defs = dg.Definitions(
    assets=[bgRemovedImage, replacedImages, finishedVideo],
    resources={
        "topview": Topview(
            base_url=dg.EnvVar("TOPVIEW_BASE_URL"),
            uid=dg.EnvVar("TOPVIEW_UID"),
            api_key=dg.EnvVar("TOPVIEW_API_KEY"),
            poll_seconds=0.1,
            folder=dg.EnvVar("TEXTBOOK_FOLDER"),
        ),
        "catalogue": Catalogue(path=dg.EnvVar("TOPVIEW_CATALOGUE")),
    },
)
