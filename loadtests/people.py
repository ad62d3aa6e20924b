"""Whom the users of a load test sign in as, and what one has once signed in.

The server limits attempts to sign in (docs/threat-model.md): 30 at once from one address, then
one in 10 s; who is welcome gets the attempt back, so what counts is how many are under way, and
that each costs the server a password's hash, a tenth of a second. So accounts may bring tokens of
an ordinary sign-in instead, and those with passwords sign in a few at a time.
"""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from app.realtime.client import Client, Stopped
from loadtests.clock import now
from loadtests.engine import Engine
from loadtests.http import Answered, Http
from loadtests.profiles import Profile

ACCESS_SECONDS = 10 * 60.0  # an access token is good for 15 minutes
SIGN_INS_AT_ONCE = 4
KINDS: tuple["Kind", ...] = ("member", "voice", "officer")
Kind = Literal["member", "voice", "officer"]


class Account(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`name` is short and its own. Either `email` with `password`, or the `refresh` token of a
    sign-in, with the `access` token that came with it. `rooms`: for the kind `voice`, the
    conversation in whose voice room it sits, with at most the others of a mesh."""

    name: str
    kind: Kind = "member"
    email: str = ""
    password: str = ""
    access: str = ""
    refresh: str = ""
    rooms: list[str] = []


class BadAccounts(Exception):
    """The file of accounts cannot be used; says why."""


def read_accounts(path: Path) -> list[Account]:
    """Return the accounts of a JSON file. Raises BadAccounts, without quoting a secret."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=list[Account])
    except OSError as error:
        raise BadAccounts(f"{path}: {error.strerror}.") from None
    except msgspec.DecodeError as error:
        raise BadAccounts(f"{path} is no list of accounts: {error}.") from None
    for account in found:
        if account.kind == "voice" and not account.rooms:
            raise BadAccounts(f"{path}: {account.name} is to sit in a voice room: name it.")
        if not (account.refresh or (account.email and account.password)):
            raise BadAccounts(f"{path}: {account.name} has neither a password nor tokens.")
    if len({account.name for account in found}) < len(found):
        raise BadAccounts(f"{path}: two accounts have one name.")
    return found


def chosen_accounts(given: Mapping[str, str]) -> list[Account]:
    """Return those of the file ACCOUNTS, or of EMAILS (with commas between) with one PASSWORD."""
    if file := given.get("ACCOUNTS"):
        return read_accounts(Path(file))
    if not (given.get("EMAILS") and given.get("PASSWORD")):
        raise BadAccounts("TARGET needs ACCOUNTS=file.json, or EMAILS=one,two with a PASSWORD.")
    return [
        Account(name=f"m{number}", email=email.strip(), password=given["PASSWORD"])
        for number, email in enumerate(given["EMAILS"].split(","))
    ]


def check_accounts(accounts: Sequence[Account], profile: Profile, workers: int) -> None:
    """Raise BadAccounts unless every user of the profile has one, on whichever worker."""
    spare = workers if workers > 1 else 0
    most = {"member": max(step.members for step in profile.steps)}
    most |= {"voice": profile.size.voices, "officer": profile.size.officers}
    for kind, users in most.items():
        found = sum(one.kind == kind for one in accounts)
        if users and found < users + spare:
            raise BadAccounts(
                f"The profile needs {users + spare} accounts of the kind {kind!r} and there are"
                f" {found}: add some, or ask for fewer users ({kind.upper()}S=…)."
            )


def write_accounts(path: Path, accounts: Sequence[Account]) -> None:
    """Readable by their owner alone: tokens are as good as passwords."""
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.encode(list(accounts)))


class Crowd:
    """The accounts of one worker, of which each is used by one user at a time."""

    def __init__(
        self, accounts: Sequence[Account], web: str, gateways: Sequence[str], local: bool
    ) -> None:
        self._free: dict[Kind, list[Account]] = {
            kind: [one for one in accounts if one.kind == kind][::-1] for kind in KINDS
        }
        self.web, self._gateways = web, itertools.cycle(gateways)
        # The house is production behind a proxy that ends TLS, as its platform has one.
        self.headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
        if not local:
            self.headers = {}
        self._signing_in: asyncio.Semaphore | None = None

    def take(self, kind: Kind) -> Account:
        """Raises BadAccounts where all are in use."""
        if not self._free[kind]:
            raise BadAccounts(f"There are more users than accounts of the kind {kind!r}.")
        return self._free[kind].pop()

    def give_back(self, account: Account) -> None:
        self._free[account.kind].append(account)

    def next_gateway(self) -> str:
        """The instances in turn, as a load balancer has it."""
        return next(self._gateways)

    def go_to(self, gateways: Sequence[str]) -> None:
        """From now on whoever connects goes to these."""
        self._gateways = itertools.cycle(gateways)

    @property
    def signing_in(self) -> asyncio.Semaphore:
        if self._signing_in is None:
            self._signing_in = asyncio.Semaphore(SIGN_INS_AT_ONCE)
        return self._signing_in


class Person:
    """Somebody signed in: REST with fresh tokens, and a client for the socket."""

    def __init__(self, engine: Engine, crowd: Crowd, account: Account) -> None:
        self.engine, self.crowd, self.account = engine, crowd, account
        self.name, self.user = account.name, ""
        self._http = Http(crowd.web, crowd.headers)
        self._access, self._refresh = account.access, account.refresh
        self._since = now() if account.access else 0.0
        self._renewing = asyncio.Lock()

    async def ask(
        self, operation: str, intended: float, method: str, path: str, **more: Any
    ) -> Any:
        """One measured request; None where it was refused or failed."""
        with self.engine.timed(operation, intended, "http"):
            return await self.rest(method, path, **more)
        return None

    async def rest(self, method: str, path: str, **more: Any) -> Any:
        """One request. Raises Answered, OSError, EOFError, TimeoutError."""
        return await self._http.ask(method, path, token=await self._token(), **more)

    def client(self, name: str = "load/1") -> Client:
        """A socket of this person's; each attempt goes to the next instance."""
        crowd = self.crowd
        return Client(
            lambda: crowd.next_gateway().replace("http", "ws", 1) + "/ws", self._ticket, name=name
        )

    def close(self) -> None:
        self._http.close()

    async def _ticket(self) -> str:
        http = Http(self.crowd.web, self.crowd.headers)
        try:
            token = await self._token()
            answer = await http.ask("POST", "/api/realtime/ticket", token=token)
            return str(answer["ticket"])
        except Answered as refused:
            if refused.code in {401, 403}:
                raise Stopped(refused.code) from None
            raise OSError(f"no ticket: {refused.code}") from None
        except EOFError as error:
            raise OSError(str(error)) from None
        finally:
            http.close()

    async def _token(self) -> str:
        async with self._renewing:
            if now() - self._since > ACCESS_SECONDS:
                await (self._renewed() if self._refresh else self._signed_in())
                self._since = now()
            return self._access

    async def _signed_in(self) -> None:
        given = {"email": self.account.email, "password": self.account.password}
        async with self.crowd.signing_in:
            await self._take("sign-in", "/api/auth/token", given)

    async def _renewed(self) -> None:
        await self._take("refresh", "/api/auth/token/refresh", {"refresh": self._refresh})

    async def _take(self, operation: str, path: str, given: dict[str, str]) -> None:
        http, answer = Http(self.crowd.web, self.crowd.headers), None
        try:
            with self.engine.timed(operation, kind="http"):
                answer = await http.ask("POST", path, given)
        finally:
            http.close()
        if answer is None:
            raise OSError(f"{self.name} could not sign in")
        self._access, self._refresh = answer["access"], answer["refresh"]
