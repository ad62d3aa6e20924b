"""An officer beside the members: pages of the trail, searches with a reason, exports."""

from loadtests.actor import Actor
from loadtests.payload import WORDS
from loadtests.people import Person

ACTIONS = {"officer-trail": 60, "officer-search": 30, "officer-export": 10}
REASON = {"matter": "load test", "reason": "Measuring what an officer's work costs."}


class Officer(Actor):
    """`live` until cancelled. No officer approves what they asked for: of two, each the other's."""

    def __init__(self, person: Person) -> None:
        super().__init__(person, ACTIONS)
        self._before = 0
        self._me = ""

    async def live(self) -> None:
        try:
            self._me = (await self.person.rest("GET", "/api/me"))["id"]
            await self.take_turns()
        finally:
            self.person.close()

    async def do(self, action: str, at: float) -> None:
        with self.engine.timed(action, at, "http"):
            match action:
                case "officer-trail":
                    await self._trail()
                case "officer-search":
                    await self._search()
                case "officer-export":
                    await self._export()

    async def _trail(self) -> None:
        """The next page backwards; after the first entry, the newest again."""
        bound = f"&before={self._before}" if self._before else ""
        page = await self.person.rest("GET", f"/api/compliance/trail?limit=50{bound}")
        entries = page["entries"]
        self._before = entries[-1]["id"] if entries else 0

    async def _search(self) -> None:
        asked = {"query": self.engine.chance.choice(WORDS), **REASON}
        search = await self.person.rest("POST", "/api/compliance/searches", body=asked)
        await self.person.rest("GET", f"/api/compliance/searches/{search['id']}")

    async def _export(self) -> None:
        """Approve what another officer waits for, or ask for the package of one conversation."""
        listed = (await self.person.rest("GET", "/api/compliance/exports"))["exports"]
        for one in listed:
            if one["state"] == "requested" and one["requester"] != self._me:
                path = f"/api/compliance/exports/{one['id']}/approve"
                await self.person.rest("POST", path)
                return
        rooms = await self.person.rest("GET", "/api/compliance/conversations")
        chosen = self.engine.chance.choice(rooms["conversations"])["id"]
        asked = {"conversations": [chosen], "reason": REASON["reason"]}
        await self.person.rest("POST", "/api/compliance/exports", body=asked)
