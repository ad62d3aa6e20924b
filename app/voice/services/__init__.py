"""Every write of voice: one transaction each, with rows, events and entries of the trail."""

from app.voice.services.hosts import kick, move, mute
from app.voice.services.leasing import expire, owes, renew_many, revoke, say_again, sweep
from app.voice.services.places import ice, leave, share
from app.voice.services.reports import report
from app.voice.services.taking import join, resume, take_places
from app.voice.services.telling import announce, set_policy

__all__ = [
    "announce",
    "expire",
    "ice",
    "join",
    "kick",
    "leave",
    "move",
    "mute",
    "owes",
    "renew_many",
    "report",
    "resume",
    "revoke",
    "say_again",
    "set_policy",
    "share",
    "sweep",
    "take_places",
]
