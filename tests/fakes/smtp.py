"""A mail server on loopback: takes what is sent, or refuses as a test asks (RFC 5321)."""

import email
import email.policy
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from typing import Literal


class SmtpServer:
    """`mails` holds what came; `refuse` is the answer to the next recipients, such as 550.

    `refused` are the addresses to which that is the answer, or all where there are none. `cut`: the
    next connection is closed before its mail is taken, or after that, but before it is said.
    """

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.refuse: int | None = None
        self.refused: set[str] = set()
        self.cut: Literal["before", "after"] | None = None
        self.connections = 0
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])

    @classmethod
    @contextmanager
    def running(cls) -> Iterator["SmtpServer"]:
        smtp = cls()
        thread = threading.Thread(target=smtp._server.serve_forever, args=[0.05], daemon=True)
        thread.start()
        try:
            yield smtp
        finally:
            smtp._server.shutdown()
            smtp._server.server_close()
            thread.join()


def _handler(smtp: SmtpServer) -> type[socketserver.StreamRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            smtp.connections += 1
            self._say(220, "ready")
            to: list[str] = []
            while line := self.rfile.readline().decode().strip():
                verb = line[:4].upper()
                if verb == "RCPT":
                    address = line.partition("<")[2].partition(">")[0]
                    if smtp.refuse and address in (smtp.refused or {address}):
                        self._say(smtp.refuse, "refused")
                    else:
                        to.append(address)
                        self._say(250, "ok")
                elif verb == "DATA":
                    cut, smtp.cut = smtp.cut, None
                    if cut == "before":
                        return
                    self._say(354, "go on")
                    self._take(to)
                    if cut == "after":
                        return
                    self._say(250, "taken")
                elif verb == "QUIT":
                    self._say(221, "bye")
                    return
                else:
                    self._say(250, "ok")

        def _take(self, to: list[str]) -> None:
            lines = []
            while (line := self.rfile.readline()) != b".\r\n":
                lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
            mail = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
            smtp.mails.append(mail)
            smtp.recipients.append(to)

        def _say(self, code: int, text: str) -> None:
            self.wfile.write(f"{code} {text}\r\n".encode())

    return Handler
