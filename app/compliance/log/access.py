"""Every read of the log by its organization: the user comes first.

Whatever is of another organization is not there: NotFound, as for what never was.
"""

from uuid import UUID

from app.accounts.models import User
from app.audit import disclosure, tiles
from app.audit.disclosure import SignedTree
from app.errors import Conflict, NotFound


def tree(user: User) -> SignedTree:
    """The last checkpoint of the user's organization. Raises Conflict before the first."""
    found = disclosure.latest_tree(user.organization_id)
    if found is None:
        raise Conflict("Nothing is signed yet: try again in a moment.")
    return found


def checkpoint(user: User, organization: UUID) -> str:
    """The signed note of the last checkpoint. Raises NotFound, Conflict."""
    _own(user, organization)
    return tree(user).note


def tile(user: User, organization: UUID, name: str) -> bytes:
    """A tile by its name (see `app.audit.tiles`). Raises NotFound, Conflict."""
    _own(user, organization)
    try:
        return tiles.tile(organization, tiles.Tile.parse(name), tree(user).size)
    except tiles.NoSuchTile:
        raise NotFound from None


def _own(user: User, organization: UUID) -> None:
    if user.organization_id != organization:
        raise NotFound
