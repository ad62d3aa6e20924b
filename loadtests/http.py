"""REST for users that live on the event loop: one connection each, kept open (h11, asyncio)."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import h11

SECONDS = 20.0


class Answered(Exception):
    """The server answered with another status than 2xx; `code` is that."""

    def __init__(self, code: int, what: str) -> None:
        super().__init__(f"{code} {what}")
        self.code = code


class Http:
    """One connection at a time to `base_url`; opened at the first request, again after an end."""

    def __init__(self, base_url: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(base_url)
        self._host, self._tls = parts.hostname or "", parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._headers = {"Host": parts.netloc, "Accept": "application/json", **headers}
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._state: h11.Connection

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str = "",
        data: bytes | None = None,
    ) -> Any:
        """Return the answer's JSON, None where it has none. Raises Answered, OSError, EOFError."""
        headers = dict(self._headers)
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        elif data is not None:
            headers["Content-Type"] = "application/octet-stream"
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if data is not None or method != "GET":
            headers["Content-Length"] = str(len(data or b""))
        try:
            async with asyncio.timeout(SECONDS):
                status, answer = await self._repeated(method, path, headers, data)
        except BaseException:
            self.close()
            raise
        if not 200 <= status < 300:
            raise Answered(status, f"{method} {path.partition('?')[0]}")
        return json.loads(answer) if answer[:1] in (b"{", b"[") else None

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
            self._streams = None

    async def _repeated(self, *request: Any) -> tuple[int, bytes]:
        """A server may close an idle connection at the moment in which it is used: once more.

        Everything that load tests ask for changes nothing the second time.
        """
        reused = self._streams is not None
        try:
            return await self._exchange(*request)
        except (EOFError, ConnectionError, h11.RemoteProtocolError) as error:
            self.close()
            if reused:
                return await self._exchange(*request)
            raise EOFError("the server closed the connection") from error

    async def _exchange(
        self, method: str, path: str, headers: dict[str, str], data: bytes | None
    ) -> tuple[int, bytes]:
        reader, writer = await self._connected()
        request = h11.Request(method=method, target=path, headers=list(headers.items()))
        out = [request, *([h11.Data(data=data)] if data else []), h11.EndOfMessage()]
        writer.write(b"".join(self._state.send(event) or b"" for event in out))
        status, answer = 0, bytearray()
        while True:
            match self._state.next_event():
                case h11.NEED_DATA:
                    self._state.receive_data(await reader.read(65536))
                case h11.Response(status_code=status):
                    pass
                case h11.Data(data=part):
                    answer += part
                case h11.EndOfMessage():
                    break
                case h11.ConnectionClosed() | h11.PAUSED:
                    raise EOFError("the server closed the connection")
        if self._state.our_state is h11.DONE and self._state.their_state is h11.DONE:
            self._state.start_next_cycle()
        else:
            self.close()
        return status, bytes(answer)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams and self._streams[0].at_eof():
            self.close()  # the server had it idle for too long
        if not self._streams:
            context = ssl.create_default_context() if self._tls else None
            self._streams = await asyncio.open_connection(self._host, self._port, ssl=context)
            self._state = h11.Connection(h11.CLIENT)
        return self._streams
