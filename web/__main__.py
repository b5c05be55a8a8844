"""The page as a process of its own, with the settings of where it starts: what `driftline up` spawns."""

import argparse

from driftline.operations.context import Context
from driftline.settings import Settings
from driftline.web.server import serve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    asked = parser.parse_args()
    context = Context(Settings())
    web = context.settings.web
    serve(context, asked.host or web.host, web.port if asked.port is None else asked.port)


if __name__ == "__main__":
    main()
