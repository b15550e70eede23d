"""A server on loopback that speaks the protocol of the Hugging Face Hub, as far as downloads need it."""

import contextlib
import hashlib
import http.server
import json
import re
import threading
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

LARGE = 1000  # bytes from which a file lies elsewhere, as those of git LFS do
TOKEN = "hf_of_a_test"


class Repository(NamedTuple):
    files: dict
    private: bool = False
    gated: bool = False
    type: str = "model"

    @property
    def commit(self):
        return hashlib.sha1(repr(sorted(self.files.items())).encode()).hexdigest()


class Hub:
    """Repositories by id, and what was asked: (method, path, token or None)."""

    def __init__(self):
        self.repositories, self.requests = {}, []
        self.broken = False  # answers 500 to everything
        self.endpoint = self.elsewhere = None

    def add(self, name, folder=None, **settings):
        """Puts the files of a folder, or those given as bytes, into a repository."""
        files = settings.pop("files", {})
        for path in sorted(folder.rglob("*") if folder else ()):
            if path.is_file():
                files[path.relative_to(folder).as_posix()] = path.read_bytes()
        self.repositories[name] = Repository(files, **settings)

    def answer(self, path, token):
        """Status, headers and body."""
        if self.broken:
            return 500, {}, b"down"
        if path.startswith("/elsewhere/"):
            contents = (data for repo in self.repositories.values() for data in repo.files.values())
            return (
                200,
                {},
                next(d for d in contents if path.endswith(hashlib.sha256(d).hexdigest())),
            )
        api = re.fullmatch(r"/api/(model|dataset)s/([^/]+/[^/]+)/(revision|tree)/([^/]+)", path)
        file = re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if not api and not file:
            return 404, {}, b"no such page"
        kind = api[1] if api else ("dataset" if file[1] else "model")
        repository = self.repositories.get((api or file)[2])
        may_read = repository and (not repository.private or token == TOKEN)
        if not may_read or repository.type != kind:
            # The Hub doesn't tell a stranger what exists.
            return (404, {"X-Error-Code": "RepoNotFound"}, b"") if token else (401, {}, b"")
        if (api[4] if api else file[3]) not in ("main", "v1", repository.commit):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        if api:
            sizes = {name: len(data) for name, data in repository.files.items()}
            entries = [
                {"type": "file", "path": name, "size": size, "oid": "0" * 40}
                for name, size in sizes.items()
            ]
            info = {"id": api[2], "sha": repository.commit, "private": repository.private}
            info |= {"siblings": [{"rfilename": name} for name in sizes], "tags": []}
            return 200, {}, json.dumps(info if api[3] == "revision" else entries).encode()
        if repository.gated and token != TOKEN:
            return 403, {"X-Error-Code": "GatedRepo"}, b""
        if file[4] not in repository.files:
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        data, headers = repository.files[file[4]], {"X-Repo-Commit": repository.commit}
        digest = hashlib.sha256(data).hexdigest()
        if len(data) < LARGE:
            return 200, {**headers, "ETag": f'"{digest[:40]}"'}, data
        headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(data))}
        return 302, {**headers, "Location": f"{self.elsewhere}/elsewhere/{digest}"}, b""


@contextlib.contextmanager
def serve(hub):
    """Answers for `hub` while the context lasts."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            path, token = unquote(urlsplit(self.path).path), self.headers.get("Authorization")
            token = token and token.removeprefix("Bearer ")
            hub.requests.append((self.command, path, token))
            status, headers, body = hub.answer(path, token)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    hub.elsewhere = f"http://localhost:{server.server_port}"  # another host
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
