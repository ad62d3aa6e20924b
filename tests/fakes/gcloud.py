"""A `gcloud` that remembers, for `cloudrun/deploy.sh`: a server here, and a program that asks it.

Faithful in what the script relies on: describing what is not there fails, creating what is there
fails, services keep revisions and their traffic, secrets have versions that come by standard
input. Flags are not checked: `gcloud meta lint-gcloud-commands` did that (cloudrun/README.md).
"""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

PROGRAM = """#!/bin/bash
# Words and standard input go there, what to say and how to end comes back.
data=""
case "$*" in *"--data-file -"*) data=$(cat) ;; esac
exec 3<>/dev/tcp/127.0.0.1/{port}
printf '%s\\0' "$#" "$@" "$data" >&3
read -r code <&3
if [ "$code" = 0 ]; then cat <&3; else cat <&3 >&2; fi
exit "$code"
"""


class Refused(Exception):
    """How gcloud ends with 1, and what it says."""


@dataclass
class Service:
    revisions: list[str] = field(default_factory=list)
    traffic: dict[str, int] = field(default_factory=dict)


@dataclass
class Gcloud:
    """A project of Google's. `failing`: words in a call that make it fail."""

    port: int = 0
    failing: str = ""
    calls: list[list[str]] = field(default_factory=list)
    there: set[tuple[str, ...]] = field(default_factory=set)
    secrets: dict[str, list[str]] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    shifts: list[tuple[str, dict[str, int]]] = field(default_factory=list)

    @classmethod
    @contextmanager
    def running(cls) -> "Iterator[Gcloud]":
        """A project in which nothing is but what `deploy` needs to find."""
        google = cls(there={("filestore", "instances", "parley")})
        lock = threading.Lock()

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                number = int(self._field())
                words = [self._field() for _ in range(number)]
                data = self._field()
                with lock:
                    code, said = google.answer(words, data)
                self.wfile.write(f"{code}\n{said}".encode())

            def _field(self) -> str:
                found = bytearray()
                while (one := self.rfile.read(1)) not in {b"\0", b""}:
                    found += one
                return found.decode()

        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            google.port = server.server_address[1]
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield google
            finally:
                server.shutdown()
                thread.join()

    def install(self, folder: Path) -> None:
        """Put the program there."""
        (folder / "gcloud").write_text(PROGRAM.replace("{port}", str(self.port)))
        (folder / "gcloud").chmod(0o755)

    def answer(self, words: list[str], data: str) -> tuple[int, str]:
        """The exit code, and what is printed."""
        self.calls.append(words)
        try:
            if self.failing and self.failing in " ".join(words):
                raise Refused("it was planted")
            return 0, self._answer(words, data)
        except Refused as refused:
            return 1, f"ERROR: (gcloud) {refused}\n"

    def _answer(self, words: list[str], data: str) -> str:
        match words:
            case ["secrets", "versions", verb, *rest]:
                return self._secret(verb, rest, data)
            case ["run", "services", "replace", path, *_]:
                return self._replace(yaml.safe_load(Path(path).read_text()))
            case ["run", "services", "describe", name, *_]:
                traffic = self._service(name).traffic
                return "".join(f"{percent}\t{one}\n" for one, percent in traffic.items())
            case ["run", "services", "update-traffic", name, *rest]:
                return self._shift(name, rest[rest.index("--to-revisions") + 1])
            case ["run", "revisions", "list", *rest]:
                known = self._service(rest[rest.index("--service") + 1]).revisions
                return "".join(f"{one}\n" for one in reversed(known))
        return self._thing(words)

    def _secret(self, verb: str, rest: list[str], data: str) -> str:
        if verb == "add":
            self.secrets.setdefault(rest[0], []).append(data)
            return ""
        if verb == "list":
            return "".join("1\n" for _ in self.secrets.get(rest[0], []))
        return self.secrets[rest[rest.index("--secret") + 1]][-1]

    def _service(self, name: str) -> Service:
        if name not in self.services:
            raise Refused(f"NOT_FOUND: {name}")
        return self.services[name]

    def _replace(self, told: dict[str, object]) -> str:
        name, spec = told["metadata"]["name"], told["spec"]  # type: ignore[index]
        service = self.services.setdefault(name, Service())
        revision = spec["template"]["metadata"]["name"]  # type: ignore[index]
        if revision in service.revisions:
            raise Refused(f"there is a revision {revision}")
        service.revisions.append(revision)
        service.traffic = {
            one.get("revisionName", revision): one["percent"]
            for one in spec["traffic"]  # type: ignore[index]
        }
        return ""

    def _shift(self, name: str, wanted: str) -> str:
        traffic = {one.split("=")[0]: int(one.split("=")[1]) for one in wanted.split(",")}
        service = self._service(name)
        if set(traffic) - set(service.revisions) or sum(traffic.values()) != 100:
            raise Refused(f"no such traffic: {wanted}")
        service.traffic = traffic
        self.shifts.append((name, traffic))
        return ""

    def _thing(self, words: list[str]) -> str:
        verb = next((word for word in words if word in {"describe", "create"}), "")
        if not verb:
            return ""
        at = words.index(verb)
        thing = (*words[:at], words[at + 1])
        if verb == "create":
            if thing in self.there:
                raise Refused(f"ALREADY_EXISTS: {' '.join(thing)}")
            self.there.add(thing)
            return ""
        if thing not in self.there:
            raise Refused(f"NOT_FOUND: {' '.join(thing)}")
        wanted = words[words.index("--format") + 1] if "--format" in words else ""
        told = {"ipAddresses": "10.0.0.2", "(host)": "10.0.0.3", "(port)": "6378", "Cert": "-----B"}
        return next((value for part, value in told.items() if part in wanted), "")
