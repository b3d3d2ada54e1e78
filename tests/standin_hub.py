"""A stand-in for the Hugging Face Hub, for tests that must talk to it over real HTTP.

Unmodified clients (`huggingface_hub`, and through it `datasets`, `timm` and `transformers`) are pointed at
it with ``HF_ENDPOINT``. It speaks what they use to create a repository, upload to it and download from it;
this was learnt from the source of huggingface_hub 2.4 (`hf_api.py`, `_commit_api.py`, `lfs.py`,
`file_download.py`, `hf_file_system.py`, `utils/_http.py`). All else is answered 404. It is kept in memory.

As with the real Hub, large files are kept by another origin (here another port): uploads go there without a
token, and `resolve` redirects there.

    with StandInHub(tokens={"hf_test": "tester"}) as hub:
        hub.put("model", "tester/net", {"config.json": b"{}"})
        hub.faults.append(Fault("GET", "/config.json", "cut"))
        subprocess.run([sys.executable, "client.py"], env=hub.environment(tmp_path, token="hf_test"))

By hand: ``python -m tests.standin_hub --port 8010``.
"""

import argparse
import base64
import contextlib
import hashlib
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, unquote

LFS_SUFFIXES = (".safetensors", ".onnx", ".png", ".jpg", ".parquet", ".bin")
LFS_SIZE = 10 * 2**20
GIT_ATTRIBUTES = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES)


def belongs_in_lfs(path: str, size: int) -> bool:
    """Whether the Hub keeps a file as a large one, outside git (an empty file never is: storage has none)."""
    return size > LFS_SIZE or (size > 0 and path.endswith(LFS_SUFFIXES))


@dataclass(frozen=True)
class File:
    """One version of a file, with the names that git and Git LFS give to its content."""

    data: bytes
    lfs: bool

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def blob(self) -> bytes:
        """What git itself stores: the content, or the pointer to a large file."""
        if not self.lfs:
            return self.data
        version = "https://git-lfs.github.com/spec/v1"
        return f"version {version}\noid sha256:{self.sha256}\nsize {len(self.data)}\n".encode()

    @cached_property
    def blob_id(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.blob) + self.blob).hexdigest()

    @property
    def etag(self) -> str:
        """The name clients compare and cache a file by (`CommitOperationAdd._local_oid`)."""
        return self.sha256 if self.lfs else self.blob_id

    def lfs_info(self, hash_key: str) -> dict[str, Any]:
        """What a large file's description has besides; some call the hash `oid`, others `sha256`."""
        if not self.lfs:
            return {}
        return {"lfs": {hash_key: self.sha256, "size": len(self.data), "pointerSize": len(self.blob)}}


@dataclass(frozen=True)
class Commit:
    """A whole snapshot of a repository; its id is drawn from its parent, its files and its words."""

    parent: str
    title: str
    message: str
    author: str
    files: Mapping[str, File]
    date: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"))

    @cached_property
    def id(self) -> str:
        tree = [(path, file.blob_id) for path, file in sorted(self.files.items())]
        content = (self.parent, self.title, self.message, self.author, self.date, tree)
        return hashlib.sha1(repr(content).encode()).hexdigest()

    def described(self) -> dict[str, Any]:
        """What `HfApi.list_repo_commits` reads of a commit."""
        authors = [{"user": self.author}]
        words = {"title": self.title, "message": self.message}
        return {"id": self.id, "date": self.date, "authors": authors} | words

    def entries(self) -> dict[str, dict[str, Any]]:
        """All files and folders by path, described as `RepoFile` and `RepoFolder` read them."""
        found: dict[str, dict[str, Any]] = {}
        for path, file in sorted(self.files.items()):
            for folder in map(str, reversed(PurePosixPath(path).parents[:-1])):
                oid = hashlib.sha1(f"{self.id} {folder}".encode()).hexdigest()
                found.setdefault(folder, {"type": "directory", "path": folder, "oid": oid, "size": 0})
            found[path] = {"type": "file", "path": path, "oid": file.blob_id, "size": len(file.data)}
            found[path] |= file.lfs_info("oid")
        return found


class Answer(NamedTuple):
    """Status, body and headers of a response."""

    status: int
    body: bytes
    headers: Mapping[str, str]


def answer_json(content: object, status: int = 200, **headers: str) -> Answer:
    """An answer of the API; underscores in the headers' names stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"} | named)


class HubError(Exception):
    """An answer that is a failure; clients choose their exception by status and `X-Error-Code`."""

    def __init__(self, status: int, message: str, code: str = "", **headers: str) -> None:
        super().__init__(message)
        if code:
            headers["X_Error_Code"] = code
        self.answer = answer_json({"error": message}, status, X_Error_Message=message, **headers)


@dataclass
class Repo:
    """A model, dataset or space with one branch, `main`."""

    type: str
    id: str
    private: bool = False
    history: list[Commit] = field(default_factory=list)

    @property
    def prefix(self) -> str:
        """The repository's address on the site, which names the type of all but models."""
        return self.id if self.type == "model" else f"{self.type}s/{self.id}"

    def at(self, revision: str) -> Commit:
        if revision == "main":
            return self.history[-1]
        for commit in self.history:
            if commit.id == revision:
                return commit
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def commit(self, files: Mapping[str, File], title: str, message: str = "", author: str = "hub") -> Commit:
        """Make `files` the new head; what changes nothing leaves no commit behind."""
        parent = self.history[-1] if self.history else None
        if parent is None or parent.files != files:
            self.history.append(Commit(parent.id if parent else "", title, message, author, files))
        return self.history[-1]


@dataclass
class Fault:
    """What is to go wrong with the next `times` requests of this method whose path matches (`re.search`).

    ``refuse`` closes the connection unread; ``cut`` closes it half-way through the request's body or, if it
    has none, through the answer's; ``lost`` does as asked, but closes instead of answering; ``status 503``
    gives that status, doing nothing; ``slow 0.5`` waits that many seconds, then goes on as usual.
    A large file's content passes under ``/objects/<sha256>``, not under its name.
    """

    method: str
    path: str
    kind: str
    times: int = 1

    def __post_init__(self) -> None:
        if not re.fullmatch(r"refuse|cut|lost|status [1-5]\d\d|slow [\d.]+", self.kind):
            raise ValueError(f"unknown kind of fault: {self.kind!r}")


_ROUTES: list[tuple[str, re.Pattern[str], Callable[..., Answer]]] = []
_API = r"/api/(?P<repo_type>model|dataset|space)s/(?P<repo_id>[^/]+/[^/]+)"
_SITE = r"/(?:(?P<repo_type>dataset|space)s/)?(?P<repo_id>[^/]+/[^/]+)"
_REVISION = r"(?P<revision>[^/]+)"


def _route(method: str, pattern: str) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    def register(function: Callable[..., Answer]) -> Callable[..., Answer]:
        _ROUTES.append((method, re.compile(pattern), function))
        return function

    return register


class _Handler(BaseHTTPRequestHandler):
    """Reads one request, lets a fault have its way with it, and answers by the first route that matches."""

    protocol_version = "HTTP/1.1"  # clients keep their connections, so every body must be read and measured
    wbufsize = -1  # headers and body leave together
    disable_nagle_algorithm = True
    server: "_Server"

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        self.hub, self.query = self.server.hub, parse_qs(query)
        self.hub.requests.append((self.command, path))
        kind, _, value = self.hub.take_fault(self.command, path).partition(" ")
        length = int(self.headers.get("Content-Length", 0))
        self.close_connection |= kind in ("refuse", "lost", "cut")
        if kind == "refuse":
            return
        if kind == "cut" and length:
            self.rfile.read(length // 2)
            return
        self.body = self.rfile.read(length)
        if kind == "slow":
            time.sleep(float(value))
        if kind == "status":
            answer = HubError(int(value), "The stand-in Hub was told to fail").answer
        else:
            answer = self._answer(path)
        if kind != "lost":
            self._send(answer, len(answer.body) // 2 if kind == "cut" else len(answer.body))

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 (the names are http.server's)

    def _answer(self, path: str) -> Answer:
        method = "GET" if self.command == "HEAD" else self.command
        try:
            for route_method, pattern, function in _ROUTES:
                if route_method == method and (match := pattern.fullmatch(path)):
                    return function(self, **{k: v and unquote(v) for k, v in match.groupdict().items()})
            raise HubError(404, "Sorry, we can't find the page you are looking for.")
        except HubError as error:
            return error.answer

    def _send(self, answer: Answer, share: int) -> None:
        """Announces the whole body, and sends that share of it."""
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[:share])

    def log_message(self, *_: object) -> None:
        """Stay silent: `StandInHub.requests` is the log."""

    def _content(self, data: bytes, headers: Mapping[str, str]) -> Answer:
        """A file's content, or the part of it asked for (resumed downloads, `HfFileSystem`)."""
        headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **headers}
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if not asked:
            return Answer(200, data, headers)
        first, last = asked.groups()
        start = int(first) if first else max(len(data) - int(last), 0)
        stop = min(int(last) + 1, len(data)) if first and last else len(data)
        if start >= stop:
            return Answer(416, b"", headers | {"Content-Range": f"bytes */{len(data)}"})
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        return Answer(206, data[start:stop], headers)

    # Who asks, and for which repository

    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _reads_only(self) -> bool:
        return self._token() in self.hub.read_only

    def _user(self, *, required: bool = False) -> str:
        """The token's owner, or nobody; a wrong token is refused even where none is needed, as on the Hub."""
        token = self._token()
        if token and token not in self.hub.tokens:
            raise HubError(401, "Invalid credentials in Authorization header")
        if required and not token:
            raise HubError(401, "Invalid username or password.")
        return self.hub.tokens.get(token, "")

    def _repo(self, repo_type: str | None, repo_id: str, *, write: bool = False) -> Repo:
        user, owner = self._user(), repo_id.partition("/")[0]
        repo = self.hub.repos.get((repo_type or "model", repo_id))
        if repo and not user and (write or repo.private):
            # Over https clients take any such 401 for a missing repository (`REPO_API_REGEX` in
            # utils/_http.py); over http they need the code to, and shall raise here what they raise there.
            raise HubError(401, "Invalid username or password.", "RepoNotFound")
        if repo is None or (repo.private and user != owner):
            raise HubError(404, "Repository not found", "RepoNotFound")
        if write and (user != owner or self._reads_only()):
            raise HubError(403, f"You don't have the rights to write to {repo_id}")
        return repo

    # Repositories: hf_api.py

    @_route("GET", "/api/whoami-v2")
    def _whoami(self) -> Answer:
        user = self._user(required=True)
        role = "read" if self._reads_only() else "write"
        token = {"type": "access_token", "accessToken": {"displayName": "test", "role": role}}
        return answer_json({"type": "user", "name": user, "fullname": user, "orgs": [], "auth": token})

    @_route("POST", "/api/validate-yaml")
    def _validate_yaml(self) -> Answer:
        """Accepts every README's metadata: the standard library reads no YAML."""
        return answer_json({"errors": [], "warnings": []})

    @_route("POST", "/api/repos/create")
    def _create(self) -> Answer:
        user = self._user(required=True)
        asked = json.loads(self.body)
        owner, repo_type = asked.get("organization") or user, asked.get("type", "model")
        if owner != user or self._reads_only():
            raise HubError(403, f"You don't have the rights to create a {repo_type} under {owner}")
        repo_id, private = f"{owner}/{asked['name']}", asked.get("visibility") == "private"
        with self.hub.lock:
            exists = (repo_type, repo_id) in self.hub.repos
            repo = self.hub.open_repo(repo_type, repo_id, private=private)
        found: dict[str, Any] = {"id": repo_id, "name": repo_id, "url": f"{self.hub.url}/{repo.prefix}"}
        if exists:  # clients that do not mind (`exist_ok`) read the address from this refusal
            return answer_json(found | {"error": f"You already created this {repo_type} repo"}, 409)
        return answer_json(found)

    @_route("GET", f"{_API}(?:/revision/{_REVISION})?")
    def _info(self, repo_type: str, repo_id: str, revision: str | None) -> Answer:
        repo = self._repo(repo_type, repo_id)
        commit = repo.at(revision or "main")
        siblings = [{"rfilename": path} for path in commit.files]
        if "blobs" in self.query:  # `files_metadata=True`
            for sibling, file in zip(siblings, commit.files.values(), strict=True):
                sibling |= {"blobId": file.blob_id, "size": len(file.data)} | file.lfs_info("sha256")
        info = {"id": repo_id, "author": repo_id.partition("/")[0], "sha": commit.id, "private": repo.private}
        dates = {"createdAt": repo.history[0].date, "lastModified": commit.date}
        state = {"gated": False, "disabled": False, "downloads": 0, "likes": 0, "tags": []}
        return answer_json(info | dates | state | {"siblings": siblings})

    @_route("GET", f"{_API}/refs")
    def _refs(self, repo_type: str, repo_id: str) -> Answer:
        head = self._repo(repo_type, repo_id).at("main").id
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": head}
        return answer_json({"branches": [main], "converts": [], "tags": []})

    @_route("GET", f"{_API}/commits/{_REVISION}")
    def _commits(self, repo_type: str, repo_id: str, revision: str) -> Answer:
        repo = self._repo(repo_type, repo_id)
        known = repo.history[: repo.history.index(repo.at(revision)) + 1]
        return answer_json([commit.described() for commit in reversed(known)])

    @_route("GET", f"{_API}/tree/{_REVISION}(?:/(?P<path>.+))?")
    def _tree(self, repo_type: str, repo_id: str, revision: str, path: str | None) -> Answer:
        """Lists a folder by pages; the next one's address is in the `Link` header (utils/_pagination.py)."""
        entries = self._repo(repo_type, repo_id).at(revision).entries()
        folder = f"{path}/" if path else ""
        inside = [entry for name, entry in entries.items() if name.startswith(folder)]
        if path and not inside:
            raise HubError(404, f"{path} does not exist on {revision}", "EntryNotFound")
        recursive = self.query.get("recursive", ["false"])[0]
        listed = [e for e in inside if recursive == "true" or "/" not in e["path"].removeprefix(folder)]
        start = int(self.query.get("cursor", ["0"])[0])
        stop = start + self.hub.page_size
        if stop >= len(listed):
            return answer_json(listed[start:])
        address = f"{self.hub.url}{self.path.partition('?')[0]}?recursive={recursive}&cursor={stop}"
        return answer_json(listed[start:stop], Link=f'<{address}>; rel="next"')

    @_route("POST", f"{_API}/paths-info/{_REVISION}")
    def _paths_info(self, repo_type: str, repo_id: str, revision: str) -> Answer:
        """Describes the paths that exist, passing over the others; the request is a form."""
        found = self._repo(repo_type, repo_id).at(revision).entries()
        asked = parse_qs(self.body.decode()).get("paths", [])
        return answer_json([found[path] for path in asked if path in found])

    # Uploads: _commit_api.py, lfs.py

    @_route("POST", f"{_API}/preupload/{_REVISION}")
    def _preupload(self, repo_type: str, repo_id: str, revision: str) -> Answer:
        """Says how each file is to be sent, and what is there now: clients leave out what has not changed."""
        present = self._repo(repo_type, repo_id, write=True).at(revision).files
        files = []
        for asked in json.loads(self.body)["files"]:
            path = asked["path"]
            mode = "lfs" if belongs_in_lfs(path, asked["size"]) else "regular"
            oid = {"oid": present[path].etag} if path in present else {}
            files.append({"path": path, "uploadMode": mode, "shouldIgnore": False} | oid)
        return answer_json({"files": files})

    @_route("POST", rf"{_SITE}\.git/info/lfs/objects/batch")
    def _lfs_batch(self, repo_type: str | None, repo_id: str) -> Answer:
        """The Git LFS batch API, `basic` transfer; an object already here gets no actions and is not sent."""
        repo = self._repo(repo_type, repo_id, write=True)
        objects = json.loads(self.body)["objects"]
        for asked in objects:
            if asked["oid"] not in self.hub.objects:
                upload = {"href": f"{self.hub.storage_url}/objects/{asked['oid']}"}
                verify = {"href": f"{self.hub.url}/{repo.prefix}.git/info/lfs/objects/verify"}
                asked["actions"] = {"upload": upload, "verify": verify}
        return answer_json({"transfer": "basic", "objects": objects})

    @_route("POST", rf"{_SITE}\.git/info/lfs/objects/verify")
    def _lfs_verify(self, repo_type: str | None, repo_id: str) -> Answer:
        self._repo(repo_type, repo_id, write=True)
        asked = json.loads(self.body)
        if len(self.hub.objects.get(asked["oid"], b"")) != asked["size"]:
            raise HubError(404, "LFS object not found")
        return answer_json({})

    @_route("POST", f"{_API}/commit/{_REVISION}")
    def _commit(self, repo_type: str, repo_id: str, revision: str) -> Answer:
        """Takes a commit as one JSON operation a line; all of it is made, or (any `HubError`) none."""
        repo = self._repo(repo_type, repo_id, write=True)
        header, *operations = [json.loads(line) for line in self.body.split(b"\n") if line]
        with self.hub.lock:
            head = repo.at(revision)
            if revision != "main":
                raise HubError(400, "Commits are taken on the branch main only")
            if not head.id.startswith(header["value"].get("parentCommit", "")):
                raise HubError(412, "A commit has happened since. Please refresh and try again.")
            files = dict(head.files)
            for operation in operations:
                self._apply(files, operation["key"], operation["value"])
            title, message = header["value"]["summary"], header["value"]["description"]
            commit = repo.commit(files, title, message, self._user())
        url = f"{self.hub.url}/{repo.prefix}/commit/{commit.id}"
        return answer_json({"success": True, "commitOid": commit.id, "commitUrl": url, "hookOutput": ""})

    def _apply(self, files: dict[str, File], key: str, value: Mapping[str, Any]) -> None:
        path = value["path"]
        if key == "file":
            files[path] = File(base64.b64decode(value["content"]), lfs=False)
        elif key == "lfsFile" and value["oid"] in self.hub.objects:
            files[path] = File(self.hub.objects[value["oid"]], lfs=True)
        elif key == "deletedFile" and path in files:
            del files[path]
        elif key == "deletedFolder":
            for inside in [name for name in files if name.startswith(path.rstrip("/") + "/")]:
                del files[inside]
        elif key == "deletedFile":
            raise HubError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
        else:
            raise HubError(400, f"The commit's {key} of {path} cannot be done")

    # Downloads: file_download.py, hf_file_system.py

    @_route("GET", f"{_SITE}/resolve/{_REVISION}/(?P<path>.+)")
    def _resolve(self, repo_type: str | None, repo_id: str, revision: str, path: str) -> Answer:
        """A file's content, or for a large one its description and the way to storage."""
        commit = self._repo(repo_type, repo_id).at(revision)
        if (file := commit.files.get(path)) is None:
            raise HubError(404, "Entry not found", "EntryNotFound", X_Repo_Commit=commit.id)
        headers = {"X-Repo-Commit": commit.id}
        if not file.lfs:
            return self._content(file.data, headers | {"ETag": f'"{file.etag}"'})
        linked = {"X-Linked-Size": str(len(file.data)), "X-Linked-ETag": f'"{file.etag}"'}
        location = {"Location": f"{self.hub.storage_url}/objects/{file.sha256}"}
        return Answer(302, b"", headers | linked | location)

    # Storage, which trusts the address and must never be shown a token (S3, too, refuses one)

    @_route("GET", "/objects/(?P<oid>[0-9a-f]{64})")
    def _read_object(self, oid: str) -> Answer:
        if "Authorization" in self.headers or oid not in self.hub.objects:
            raise HubError(400, "A token was sent to storage, or the object is not there")
        return self._content(self.hub.objects[oid], {"ETag": f'"{oid}"'})

    @_route("PUT", "/objects/(?P<oid>[0-9a-f]{64})")
    def _write_object(self, oid: str) -> Answer:
        if "Authorization" in self.headers or hashlib.sha256(self.body).hexdigest() != oid:
            raise HubError(400, "A token was sent to storage, or the content is not what was announced")
        self.hub.objects[oid] = self.body
        return Answer(200, b"", {"ETag": f'"{oid}"'})


class _Server(ThreadingHTTPServer):
    """One of the Hub's two origins."""

    request_queue_size = 64  # `snapshot_download` opens many connections at once

    def __init__(self, hub: "StandInHub", port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.hub = hub
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what went wrong here, but not that a client left in the middle of an answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class StandInHub:
    """The Hub as tests hold it: served inside ``with``, readable and writable from outside the protocol.

    `tokens` maps each accepted token to its owner, who may write to the repositories under their own name, but not
    with a token of `read_only`.
    `faults` and `requests` may be changed at any time, e.g. cleared.
    """

    def __init__(
        self,
        tokens: Mapping[str, str] | None = None,
        port: int = 0,
        page_size: int = 1000,
        read_only: Collection[str] = (),
    ) -> None:
        self.tokens = dict(tokens or {})
        self.read_only = frozenset(read_only)
        self.page_size = page_size
        self.repos: dict[tuple[str, str], Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self.lock = threading.Lock()
        self._servers = [_Server(self, port), _Server(self, 0)]
        self.url, self.storage_url = (server.url for server in self._servers)

    def __enter__(self) -> Self:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def put(self, repo_type: str, repo_id: str, files: Mapping[str, bytes]) -> str:
        """Commit files on top of what is there, making the repository if need be; return the commit's id."""
        new = {path: File(data, belongs_in_lfs(path, len(data))) for path, data in files.items()}
        self.objects |= {file.sha256: file.data for file in new.values() if file.lfs}
        with self.lock:
            repo = self.open_repo(repo_type, repo_id)
            return repo.commit({**repo.at("main").files, **new}, "Put by the test").id

    def files(self, repo_type: str, repo_id: str) -> dict[str, bytes]:
        """The head's files, `.gitattributes` among them: a repository on the Hub is born with it."""
        head = self.repos[repo_type, repo_id].at("main")
        return {path: file.data for path, file in head.files.items()}

    def commits(self, repo_type: str, repo_id: str) -> list[Commit]:
        """The commits from the newest to the initial one."""
        return self.repos[repo_type, repo_id].history[::-1]

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        """The environment in which a fresh interpreter's clients know this Hub only, and keep to `home`."""
        foreign = ("HF_", "HUGGING", "TRANSFORMERS_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        settings = {"HF_ENDPOINT": self.url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        places = {
            "HOME": str(home),
            "HF_HOME": str(home / "hf"),
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        return kept | settings | places | ({"HF_TOKEN": token} if token else {})

    def open_repo(self, repo_type: str, repo_id: str, *, private: bool = False) -> Repo:
        """Find a repository or make it; the caller holds the lock."""
        if (repo_type, repo_id) not in self.repos:
            repo = Repo(repo_type, repo_id, private)
            repo.commit({".gitattributes": File(GIT_ATTRIBUTES.encode(), lfs=False)}, "initial commit")
            self.repos[repo_type, repo_id] = repo
        return self.repos[repo_type, repo_id]

    def take_fault(self, method: str, path: str) -> str:
        """The kind of the first fault that awaits this request, once less; an empty string if none does."""
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and fault.method == method and re.search(fault.path, path):
                    fault.times -= 1
                    return fault.kind
        return ""


def main() -> None:
    """Serve an empty Hub until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.standin_hub", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes any free one")
    parser.add_argument("--token", default="hf_test", help="the token that is accepted")
    parser.add_argument("--user", default="tester", help="its owner")
    options = parser.parse_args()
    with StandInHub({options.token: options.user}, port=options.port) as hub:
        print(f"export HF_ENDPOINT={hub.url} HF_HUB_DISABLE_XET=1 HF_TOKEN={options.token}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
