"""Sends a message to where people read it, by Apprise. Addresses are secrets: none leaves this module, nor what Apprise says.

Apprise's own log lines and a target's answers may repeat an address, so what they say is put in words of ours.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from driftline.contracts import Delivery
from driftline.report.messages import Message

INSTALL = "apprise is not installed where the role `notify` runs: `pip install 'driftline[notify]'`"


def send(urls: Mapping[str, str], message: Message, seconds: float) -> list[Delivery]:
    """Send to all targets side by side. A target that has not answered in time is given up; it may yet get the message.

    Args:
        urls: Apprise's URLs by target; several of one target have blanks between them, and all have to take the message.
        seconds: until which each target has to have answered.
    """
    try:
        from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType
    except ImportError:
        return [Delivery(target, "failed", INSTALL) for target in urls]
    log = logging.getLogger("apprise")
    log.propagate = False
    log.addHandler(logging.NullHandler())  # else Python prints it where nobody asked
    asset = AppriseAsset(
        app_id="Driftline", http_redirects=False, service_timeout=seconds, storage_mode="memory", allow_templates=False
    )
    notifier, made = Apprise(asset=asset), []
    for target, text in urls.items():
        known = [notifier.add(url, tag=_tag(target)) for url in text.split()]
        if not known:
            made.append(Delivery(target, "failed", "its variable is not set where the worker runs"))
        elif not all(known):
            made.append(Delivery(target, "failed", "its variable has no URL that Apprise knows"))
    kinds = {"info": NotifyType.INFO, "warning": NotifyType.WARNING, "failure": NotifyType.FAILURE}
    kind = NotifyType.SUCCESS if message.event == "published" else kinds[message.level]
    wrong = {delivery.target for delivery in made}
    asked = [target for target in urls if target not in wrong]
    if not asked:
        return made
    answers = notifier.notify(
        message.body or message.title,
        message.title,
        kind,
        body_format=NotifyFormat.TEXT,
        tag=[*map(_tag, asked)],
        timeout=seconds,
        log_level=logging.WARNING,
    )
    made += [_delivery(target, [a for a in answers if _tag(target) in a.tag], seconds) for target in asked]
    return made


def _tag(target: str) -> str:
    """Bare names may mean something to Apprise: `all`, `always`."""
    return f"target-{target}"


def _delivery(target: str, answers: Sequence[Any], seconds: float) -> Delivery:
    """Sums up the answers of a target's URLs: the first that failed, else `sent`."""
    for answer in answers:
        if not answer:
            return Delivery(target, "failed", _said(answer, seconds))
    return Delivery(target, "sent", "sent") if answers else Delivery(target, "failed", "not tried")


def _said(answer: Any, seconds: float) -> str:
    if answer.status.name == "TIMEOUT":
        return f"no answer within {seconds:.0f} s"
    lines = " ".join(entry.message for entry in answer.logs())
    if code := re.search(r"error=(\d{3})\b", lines):
        return f"refused with HTTP {code[1]}"
    return "no connection, or no answer in time" if "onnection" in lines else "refused"
