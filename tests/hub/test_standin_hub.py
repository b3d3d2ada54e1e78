"""The stand-in Hub serves the real clients.

The clients read ``HF_ENDPOINT`` when they are imported, so each test runs one function of this module in a
fresh interpreter (`in_client`) and looks at what it returned and at what the Hub then holds.
"""

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients import run
from tests.standin_hub import Fault, StandInHub

RUN = """
import json, pathlib, sys
from tests.hub import test_standin_hub as module
name, *paths = sys.argv[1:]
print(json.dumps(getattr(module, name)(*map(pathlib.Path, paths))))
"""


@pytest.fixture
def hub() -> Iterator[StandInHub]:
    with StandInHub(tokens={"hf_test": "tester"}, page_size=2) as hub:
        yield hub


def in_client(function: Callable[..., Any], hub: StandInHub, home: Path, *paths: Path) -> Any:
    """Run a function of this module on the paths, where clients know the Hub; return what it returned."""
    done = run(hub.environment(home, token="hf_test"), "-c", RUN, function.__name__, *paths)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def raised(action: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[str, int | None]:
    """The name of the exception that an action raises, and the status of the answer it came from."""
    try:
        action(*args, **kwargs)
    except Exception as error:
        return type(error).__name__, getattr(getattr(error, "response", None), "status_code", None)
    return "nothing", None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small model, as a folder to upload."""
    folder = tmp_path / "net"
    (folder / "metrics").mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Net\n")
    (folder / "config.json").write_text("{}")
    (folder / "metrics" / "fold é 1.json").write_text("{}")
    (folder / "metrics" / "empty.bin").touch()
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 4096)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def upload_and_download(folder: Path) -> dict[str, Any]:
    from huggingface_hub import (
        CommitOperationAdd,
        CommitOperationDelete,
        HfApi,
        hf_hub_download,
        snapshot_download,
    )

    api = HfApi()
    url = api.create_repo("tester/net", exist_ok=True)
    assert api.create_repo("tester/net", exist_ok=True) == url
    first = api.upload_folder(repo_id="tester/net", folder_path=folder)
    again = api.upload_folder(repo_id="tester/net", folder_path=folder)
    snapshot = Path(snapshot_download("tester/net"))
    single = Path(
        hf_hub_download("tester/net", "model.safetensors", revision=first.oid, local_dir=folder.parent / "one")
    )
    assert contents(snapshot) == contents(folder) | {".gitattributes": (snapshot / ".gitattributes").read_bytes()}
    assert single.read_bytes() == (folder / "model.safetensors").read_bytes()

    info = api.model_info("tester/net", files_metadata=True)
    sizes = {sibling.rfilename: sibling.size for sibling in info.siblings}
    assert sizes == {path: len(data) for path, data in contents(snapshot).items()}
    assert [entry.path for entry in api.list_repo_tree("tester/net", "metrics")] == [
        "metrics/empty.bin",
        "metrics/fold é 1.json",
    ]
    assert [entry.path for entry in api.get_paths_info("tester/net", ["config.json", "none"])] == ["config.json"]
    assert api.list_repo_refs("tester/net").branches[0].target_commit == info.sha == first.oid == again.oid

    stale = raised(api.delete_file, "config.json", "tester/net", parent_commit="0" * 40)
    half_wrong = [CommitOperationAdd("new.txt", b"new"), CommitOperationDelete("none.txt")]
    half = raised(api.create_commit, "tester/net", half_wrong, commit_message="All or nothing")
    api.delete_file("config.json", "tester/net", parent_commit=first.oid)
    api.delete_folder("metrics", "tester/net")
    assert not api.file_exists("tester/net", "config.json")
    assert api.file_exists("tester/net", "config.json", revision=first.oid)

    api.create_repo("tester/app", repo_type="space", space_sdk="gradio")
    api.upload_file(path_or_fileobj=b"print()", path_in_repo="app.py", repo_id="tester/app", repo_type="space")
    return {
        "whoami": api.whoami()["name"],
        "url": url,
        "stale": stale,
        "half": half,
        "commits": [commit.commit_id for commit in api.list_repo_commits("tester/net")],
        "space": api.space_info("tester/app").sha,
    }


def test_upload_and_download(hub: StandInHub, tmp_path: Path, folder: Path) -> None:
    result = in_client(upload_and_download, hub, tmp_path, folder)
    assert result["whoami"] == "tester"
    assert result["url"] == f"{hub.url}/tester/net"
    assert result["stale"] == ["HfHubHTTPError", 412]
    assert result["half"] == ["RemoteEntryNotFoundError", 404]
    assert result["commits"] == [commit.id for commit in hub.commits("model", "tester/net")]
    assert len(result["commits"]) == 4, "the initial one, one upload for two, and two deletions"
    assert set(hub.files("model", "tester/net")) == {".gitattributes", "README.md", "model.safetensors"}
    assert hub.files("space", "tester/app")["app.py"] == b"print()"
    assert result["space"] == hub.commits("space", "tester/app")[0].id
    requests = Counter(hub.requests)
    assert requests["POST", "/api/models/tester/net/commit/main"] == 5, "two were refused, the second upload sent none"
    assert [method for method, path in hub.requests if path.startswith("/objects/")].count("PUT") == 1


def refusals(folder: Path) -> dict[str, Any]:
    from huggingface_hub import HfApi, constants, get_session, hf_hub_download

    api, wrong = HfApi(), {"token": "hf_wrong"}
    upload = {"repo_id": "tester/net", "folder_path": folder}
    batch = f"{constants.ENDPOINT}/tester/net.git/info/lfs/objects/batch"
    objects = {"operation": "upload", "objects": [{"oid": "0" * 64, "size": 3}]}
    answer = get_session().post(batch, json=objects, headers={"authorization": "Bearer hf_test"}).json()
    api.create_repo("tester/secret", private=True)
    href = answer["objects"][0]["actions"]["upload"]["href"]
    return {
        "wrong token, whoami": raised(api.whoami, **wrong),
        "wrong token, create": raised(api.create_repo, "tester/new", **wrong),
        "wrong token, upload": raised(api.upload_folder, **upload, **wrong),
        "wrong token, download": raised(hf_hub_download, "tester/net", "config.json", **wrong),
        "no token, create": raised(api.create_repo, "tester/new", token=False),
        "no token, upload": raised(api.upload_folder, **upload, token=False),
        "no token, private": raised(hf_hub_download, "tester/secret", ".gitattributes", token=False),
        "own token, private": raised(hf_hub_download, "tester/secret", ".gitattributes"),
        "another's": raised(api.upload_folder, **upload | {"repo_id": "other/net"}),
        "missing repo": raised(hf_hub_download, "tester/none", "config.json"),
        "missing repo, info": raised(api.dataset_info, "tester/net"),
        "missing repo, upload": raised(api.upload_folder, **upload | {"repo_id": "tester/none"}),
        "missing revision": raised(hf_hub_download, "tester/net", "config.json", revision="none"),
        "missing file": raised(hf_hub_download, "tester/net", "none.json"),
        "existing repo": raised(api.create_repo, "tester/net"),
        "wrong content": ("put", get_session().put(href, content=b"abc").status_code),
    }


def test_refusals(hub: StandInHub, tmp_path: Path, folder: Path) -> None:
    hub.put("model", "tester/net", {"config.json": b"{}"})
    hub.put("model", "other/net", {"config.json": b"{}"})
    before = hub.commits("model", "tester/net") + hub.commits("model", "other/net")
    assert in_client(refusals, hub, tmp_path, folder) == {
        "wrong token, whoami": ["HfHubHTTPError", 401],
        "wrong token, create": ["HfHubHTTPError", 401],
        "wrong token, upload": ["HfHubHTTPError", 401],
        "wrong token, download": ["HfHubHTTPError", 401],
        "no token, create": ["HfHubHTTPError", 401],
        "no token, upload": ["RepositoryNotFoundError", 401],
        "no token, private": ["RepositoryNotFoundError", 401],
        "own token, private": ["nothing", None],
        "another's": ["HfHubHTTPError", 403],
        "missing repo": ["RepositoryNotFoundError", 404],
        "missing repo, info": ["RepositoryNotFoundError", 404],
        "missing repo, upload": ["RepositoryNotFoundError", 404],
        "missing revision": ["RevisionNotFoundError", 404],
        "missing file": ["RemoteEntryNotFoundError", 404],
        "existing repo": ["HfHubHTTPError", 409],
        "wrong content": ["put", 400],
    }
    assert hub.commits("model", "tester/net") + hub.commits("model", "other/net") == before
    assert not hub.files("model", "tester/net").keys() & {"model.safetensors"}


def through_faults(folder: Path) -> dict[str, Any]:
    from huggingface_hub import HfApi, hf_hub_download

    api = HfApi()
    api.create_repo("tester/net")
    failed = raised(api.upload_folder, repo_id="tester/net", folder_path=folder)
    heads = [api.model_info("tester/net").sha]
    lost = raised(api.upload_folder, repo_id="tester/net", folder_path=folder)
    heads.append(api.model_info("tester/net").sha)
    heads.append(api.upload_folder(repo_id="tester/net", folder_path=folder).oid)
    for name in ("config.json", "model.safetensors"):
        assert Path(hf_hub_download("tester/net", name)).read_bytes() == (folder / name).read_bytes()
    return {
        "commit failed": failed,
        "commit's answer lost": lost,
        "heads": heads,
        "refused": raised(hf_hub_download, "tester/net", "README.md"),
        "slow": raised(hf_hub_download, "tester/net", "README.md", etag_timeout=0.1),
        "unavailable": raised(hf_hub_download, "tester/net", ".gitattributes"),
    }


def test_faults(hub: StandInHub, tmp_path: Path, folder: Path) -> None:
    """Faults are met in the order of the client's requests; some it mends by itself, some it reports."""
    (folder / "model.safetensors").write_bytes(bytes(21 * 2**20))  # downloads are kept by pieces of 10 MiB
    hub.faults += [
        Fault("PUT", "/objects/", "cut"),
        Fault("POST", "/commit/main", "status 503"),
        Fault("POST", "/commit/main", "lost"),
        Fault("GET", "/config.json", "cut"),
        Fault("GET", "/objects/", "cut"),
        Fault("HEAD", "/README.md", "refuse"),
        Fault("HEAD", "/README.md", "slow 1"),
        Fault("HEAD", "/.gitattributes", "status 500"),
    ]
    result = in_client(through_faults, hub, tmp_path, folder)
    initial, head = (commit.id for commit in reversed(hub.commits("model", "tester/net")))
    assert result == {
        "commit failed": ["HfHubHTTPError", 503],
        "commit's answer lost": ["RemoteProtocolError", None],
        "heads": [initial, head, head],  # nothing; the whole commit; the same, for it is not made twice
        "refused": ["RemoteProtocolError", None],
        "slow": ["nothing", None],
        "unavailable": ["nothing", None],
    }
    assert not [fault for fault in hub.faults if fault.times], "every fault has struck"
    transfers = Counter(method for method, path in hub.requests if path.startswith("/objects/"))
    assert transfers == {"PUT": 2, "GET": 2}, "one cut and one whole of each"
    assert hub.files("model", "tester/net").items() >= contents(folder).items()


def test_put(hub: StandInHub) -> None:
    first = hub.put("space", "tester/app", {"app.py": b"1"})
    assert hub.put("space", "tester/app", {"app.py": b"1"}) == first
    second = hub.put("space", "tester/app", {"data.bin": b"2"})
    assert [commit.id for commit in hub.commits("space", "tester/app")][:2] == [second, first]
    assert hub.files("space", "tester/app").items() >= {"app.py": b"1", "data.bin": b"2"}.items()


def test_unknown_fault() -> None:
    with pytest.raises(ValueError, match="explode"):
        Fault("GET", "/", "explode")


def load_datasets() -> dict[str, Any]:
    from datasets import Dataset, Features, Image, Value, load_dataset
    from PIL import Image as PillowImage

    folders = load_dataset("tester/cells")
    picture = PillowImage.new("RGB", (4, 3), (10, 20, 30))
    features = Features({"image": Image(), "label": Value("int64")})
    Dataset.from_dict({"image": [picture] * 3, "label": [0, 1, 2]}, features=features).push_to_hub("tester/smears")
    parquet = load_dataset("tester/smears", split="train")
    streamed = [load_dataset(name, split="train", streaming=True) for name in ("tester/cells", "tester/smears")]
    return {
        "splits": {split: rows.num_rows for split, rows in folders.items()},
        "classes": folders["train"].features["label"].names,
        "labels": list(folders["train"]["label"]),
        "pixel": [row["image"].getpixel((0, 0)) for row in (*folders["train"], *parquet)],
        "streamed": [row["image"].getpixel((0, 0)) for rows in streamed for row in rows],
        "missing": raised(load_dataset, "tester/none"),
    }


def test_datasets(hub: StandInHub, tmp_path: Path) -> None:
    """An image folder, and a dataset pushed as parquet; both also streamed."""
    from PIL import Image

    def picture(shade: int) -> bytes:
        content = io.BytesIO()
        Image.new("RGB", (4, 3), (shade, 0, 0)).save(content, "PNG")
        return content.getvalue()

    train = {f"train/{name}/{shade}.png": picture(shade) for shade, name in enumerate("AABB")}
    hub.put("dataset", "tester/cells", {"README.md": b"# Cells\n", **train, "test/B/9.png": picture(9)})
    result = in_client(load_datasets, hub, tmp_path)
    assert result["splits"] == {"train": 4, "test": 1}
    assert result["classes"] == ["A", "B"]
    assert result["labels"] == [0, 0, 1, 1]
    assert result["pixel"] == result["streamed"] == [[shade, 0, 0] for shade in range(4)] + [[10, 20, 30]] * 3
    assert result["missing"] == ["DatasetNotFoundError", None]
    assert [path for path in hub.files("dataset", "tester/smears") if path.endswith(".parquet")]
