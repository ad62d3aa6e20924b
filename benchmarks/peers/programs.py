"""How each peer is started, on a port of this machine: as it is shipped, tuned as its makers say.

Limits of rate are off for all of them, and so is what nothing is measured of (history of rooms,
offline messages, federation, TLS).
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers import install
from dev.errors import SetupProblem
from dev.ports import LOOPBACK

DOMAIN, ROOMS = "localhost", "rooms.localhost"
XMPP_PASSWORD = "x"  # noqa: S105  # of accounts that live for a minute, on loopback
XMPP_USERS = 256


@dataclass(frozen=True, slots=True)
class Program:
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def node(script: str) -> Callable[[int, Path], Program]:
    """A script of `node/`."""

    def program(port: int, _: Path) -> Program:
        if not shutil.which("node"):
            raise SetupProblem(f"The peer {script} needs node, which is not here.")
        modules = install.node()
        command = ["node", str(install.SCRIPTS / f"{script}.cjs"), str(port)]
        return Program(command, {"NODE_PATH": str(modules), "NODE_ENV": "production"})

    return program


_EJABBERD = """\
hosts: [{domain}]
loglevel: error
listen:
  - {{ port: {port}, ip: "{loopback}", module: ejabberd_c2s, max_stanza_size: 65536 }}
# Anybody may sign in with any password: nothing is measured before everybody is in.
auth_method: [anonymous]
anonymous_protocol: login_anon
modules:
  mod_muc:
    host: {rooms}
    history_size: 0
    max_users: 1000
"""


def ejabberd(port: int, folder: Path) -> Program:
    """One scheduler that does not spin while it waits, since it has one core (`erl` +S, +sbwt)."""
    root = install.debian()
    libraries = _libraries(root)
    erlang = root / "usr" / "lib" / "erlang"
    [runtime] = erlang.glob("erts-*")
    settings = folder / "ejabberd.yml"
    settings.write_text(_filled(_EJABBERD, port))
    schedulers = ["+S", "1:1", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"]
    database = ["-mnesia", "dir", f'"{folder}/mnesia"', "core_dir", f'"{folder}"']
    return Program(
        [str(runtime / "bin" / "erlexec"), "-noinput", *schedulers, *database, "-s", "ejabberd"],
        {
            "ROOTDIR": str(erlang),
            "BINDIR": str(runtime / "bin"),
            "EMU": "beam",
            "PROGNAME": "erl",
            "ERL_LIBS": str(libraries),
            "LD_LIBRARY_PATH": str(libraries),
            "ERL_CRASH_DUMP_SECONDS": "0",
            "EJABBERD_CONFIG_PATH": str(settings),
            "EJABBERD_LOG_PATH": str(folder / "ejabberd.log"),
        },
    )


_PROSODY = """\
run_as_root = true
data_path = "{folder}"
pidfile = "{folder}/prosody.pid"
certificates = "{folder}"
interfaces = {{ "{loopback}" }}
c2s_ports = {{ {port} }}
s2s_ports = {{ }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
network_backend = "epoll"
modules_enabled = {{ "saslauth", "disco" }}
modules_disabled = {{ "s2s", "offline", "tls" }}
log = {{ {{ levels = {{ min = "error" }}, to = "console" }} }}
VirtualHost "{domain}"
Component "{rooms}" "muc"
  max_history_messages = 0
"""


def prosody(port: int, folder: Path) -> Program:
    root = install.debian()
    libraries = _libraries(root)
    accounts = folder / DOMAIN / "accounts"
    accounts.mkdir(parents=True)
    for number in range(XMPP_USERS):
        (accounts / f"{xmpp_user(number)}.dat").write_text(
            f'return {{ ["password"] = "{XMPP_PASSWORD}"; }};\n'
        )
    settings, program = folder / "prosody.cfg.lua", folder / "prosody"
    settings.write_text(_filled(_PROSODY, port, folder=folder))
    here = "'/usr/lib/prosody"
    text = (root / "usr" / "bin" / "prosody").read_text()
    program.write_text(text.replace(here, f"'{root}/usr/lib/prosody"))
    lua = [str(root / "usr" / "bin" / "lua5.4"), str(program)]
    return Program(
        [*lua, "--config", str(settings), "-F"],
        {
            "LUA_PATH": f"{root}/usr/share/lua/5.4/?.lua;;",
            "LUA_CPATH": f"{libraries}/lua/5.4/?.so;;",
            "LD_LIBRARY_PATH": str(libraries),
        },
    )


def _libraries(root: Path) -> Path:
    [found] = (root / "usr" / "lib").glob("*-linux-gnu*")  # of this machine's architecture
    return found


def xmpp_user(number: int) -> str:
    return f"u{number:03}"


def _filled(template: str, port: int, **more: object) -> str:
    return template.format(port=port, loopback=LOOPBACK, domain=DOMAIN, rooms=ROOMS, **more)


PROGRAMS: Mapping[str, Callable[[int, Path], Program]] = {
    "ws": node("ws"),
    "peerjs": node("peerjs"),
    "ejabberd": ejabberd,
    "prosody": prosody,
}
