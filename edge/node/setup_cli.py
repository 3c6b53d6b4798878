"""``first-boot`` and ``set-up``: from the file on a card to a node whose people can unlock it."""

import argparse
import asyncio
import json
import signal
from pathlib import Path

from edge.web.logs import start_logging

from . import first_boot, lan_tls
from .listening import Listening, Secure, parse_address
from .setting_up import SettingUp
from .web.setup_api import SetupApi


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", http: str) -> None:
    """Add both to a program's commands. ``http``: where to listen by default."""
    text = "Move the provisioning file from the card's FAT partition into the data folder, and wipe it there."
    boot = commands.add_parser("first-boot", help=text, description=text)
    first_boot.add_options(boot)

    text = "Let a technician set this node up at a tablet; ends when it is done, at once if there is nothing to do."
    command = commands.add_parser("set-up", help=text, description=text)
    command.add_argument("--data", type=Path, required=True, metavar="DIR", help="the node's data folder")
    command.add_argument("--http", default=http, metavar="ADDR:PORT", help="where the tablets connect")
    add_https(command)


def add_https(command: argparse.ArgumentParser) -> None:
    """The options of HTTPS to the tablets."""
    command.add_argument(
        "--https",
        default="",
        metavar="ADDR:PORT",
        help="the pages by HTTPS, with a certificate of this node's own; --http then only helps tablets to trust it",
    )
    command.add_argument("--lan-name", default=lan_tls.DEFAULT_NAME, metavar="NAME", help="what tablets call the node")
    command.add_argument("--lan-address", default=lan_tls.DEFAULT_ADDRESS, metavar="IP", help="and its address there")


def secure_of(options: argparse.Namespace) -> Secure | None:
    """The HTTPS that was asked for, if any. Raises BadInput."""
    if not options.https:
        return None
    return Secure(parse_address(options.https, "https"), lan_tls.parse_names(options.lan_name, options.lan_address))


async def set_up(options: argparse.Namespace) -> None:
    """``set-up``. Raises BadInput, OSError."""
    http, secure = parse_address(options.http), secure_of(options)
    options.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    setting_up = await asyncio.to_thread(SettingUp, options.data)
    if not setting_up.is_needed:
        print(json.dumps({"set_up": True}), flush=True)
        return
    start_logging()
    stopping, done = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)

    def finished() -> None:
        done.set()
        stopping.set()

    api = SetupApi(setting_up, finished)
    listening = Listening()
    await listening.open(lambda is_secure: api.app(secure=is_secure), options.data, http, secure)
    shown = {"https": listening.url} if listening.url else {}
    print(json.dumps({"ready": True, "http": "http://{}:{}".format(*listening.http), **shown}), flush=True)
    await stopping.wait()
    await listening.close()
    print(json.dumps({"set_up": done.is_set()}), flush=True)
