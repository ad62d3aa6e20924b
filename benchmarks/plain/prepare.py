"""Makes the tables and who speaks; prints a room's id and the cookies of each session as JSON.

python -m benchmarks.plain.prepare 8
"""

import json
import secrets
import sys

import django
from django.core.management import call_command


def main() -> None:
    django.setup()
    call_command("migrate", verbosity=0)
    call_command("migrate", run_syncdb=True, verbosity=0)  # our own, which has no migrations
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY  # noqa: PLC0415
    from django.contrib.auth.models import User  # noqa: PLC0415
    from django.contrib.sessions.backends.db import SessionStore  # noqa: PLC0415

    from benchmarks.plain.models import Room  # noqa: PLC0415

    room = Room.objects.create(name="ward-4")  # type: ignore[attr-defined]  # see models
    cookies = []
    for number in range(int(sys.argv[1])):
        user = User.objects.create_user(f"person-{number}")
        room.members.add(user)
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.save()
        cookies.append({"sessionid": session.session_key, "csrftoken": secrets.token_hex(16)})
    print(json.dumps({"room": room.pk, "cookies": cookies}))


if __name__ == "__main__":
    main()
