"""`driftline web`: the page for the people who decide."""

import importlib.util
import webbrowser
from typing import Annotated

import typer

from driftline import embedded
from driftline.commands.context import load, load_settings
from driftline.commands.output import Json, console, print_json
from driftline.contracts import BadInput
from driftline.embedded import tokens
from driftline.settings import Settings

app = typer.Typer(help="The page for the people who decide: what waits, the evidence, what would change, and the verdict.")

Host = Annotated[str | None, typer.Option(help="Where it listens. Default: `web.host` of the settings.")]
Port = Annotated[int | None, typer.Option(help="Its port; 0 takes a free one. Default: `web.port` of the settings.")]


@app.callback(invoke_without_command=True)
def web(context: typer.Context, host: Host = None, port: Port = None) -> None:
    """Serve the page here until Ctrl-C. `driftline up` has one of its own."""
    if context.invoked_subcommand is not None:
        return
    if importlib.util.find_spec("authlib") is None:  # `serve` brings starlette, too
        raise BadInput("the page needs packages that are not installed: `pip install 'driftline[web]'`")
    from driftline.web.server import serve  # the extra may not be installed, and no other command should wait for it

    loaded = load()
    settings = loaded.settings.web
    serve(loaded, host or settings.host, settings.port if port is None else port)


@app.command("open")
def open_(
    show: Annotated[bool, typer.Option("--print", help="Print the link, and open no browser.")] = False, json: Json = False
) -> None:
    """Log in to the page: a link that is good once, for ten minutes, opened in the browser or printed."""
    settings = load_settings()
    link = link_to(settings)
    if json:
        print_json({"url": link})
    elif show or not webbrowser.open(link):
        console.print(link, highlight=False, soft_wrap=True, markup=False)


def link_to(settings: Settings) -> str:
    """Where the page is; for whom a token is the login, with one."""
    web = settings.web
    address = web.url or embedded.status(settings.home).web_address or f"http://127.0.0.1:{web.port}"
    return f"{address.rstrip('/')}/login?token={tokens.issue(settings.home)}" if web.login == "token" else address
