"""Connects to Temporal as the settings say, and encrypts what it stores where they name a file of keys.

Encrypted are inputs, results, signals, updates, queries, heartbeats and the words of failures: AES-256-GCM, each payload under a
random nonce, with the key's id beside it. What is neither encrypted nor under a known key is handed on as a payload that nothing
can read: it is refused where it is used, and stops nothing else.
"""

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, PayloadCodec
from temporalio.runtime import Runtime

from driftline.contracts import BadInput
from driftline.settings import Settings

ENCODING = b"binary/encrypted"
REFUSED = b"driftline/refused"
KEY_ID = "encryption-key-id"
NONCE_BYTES, KEY_BYTES = 12, 32


async def connect(settings: Settings, runtime: Runtime) -> Client:
    """A connection to Temporal as the settings say: address, certificates, encryption.

    Raises:
        BadInput: the file of keys is wrong.
        RuntimeError, RPCError: nothing answers there, or it does not let us in.
    """
    return await Client.connect(**settings.temporal(), data_converter=data_converter(settings), runtime=runtime)


def data_converter(settings: Settings) -> DataConverter:
    """Pydantic's; with encryption if there are keys."""
    if settings.temporal_keys is None:
        return pydantic_data_converter
    return replace(
        pydantic_data_converter,
        payload_codec=Encryption(read_keys(settings.temporal_keys), accept_plain=settings.temporal_accept_plain),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


def read_keys(file: Path) -> dict[str, bytes]:
    """The keys by id, in the file's order.

    Raises:
        BadInput: a line is not `id key`, a key is not 32 bytes in base64, or others may read the file.
    """
    if file.stat().st_mode & 0o077:
        raise BadInput(f"temporal_keys: others may read {file}: `chmod 600 {file}`")
    keys = {}
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, text = line.strip().partition(" ")
        try:
            keys[name] = base64.b64decode(text.strip(), validate=True)
        except ValueError:
            keys[name] = b""
        if len(keys[name]) != KEY_BYTES:
            raise BadInput(f"temporal_keys: line {number} of {file} is not `id key`; make a key with `openssl rand -base64 32`")
    if not keys:
        raise BadInput(f"temporal_keys: {file} has no key; make one with `openssl rand -base64 32`, and write `id key`")
    return keys


@dataclass(frozen=True)
class Encryption(PayloadCodec):
    """
    Attributes:
        keys: by id. The first encrypts, all decrypt: so a key is replaced without a stop.
        accept_plain: also take payloads that are not encrypted, as while runs of before go on.
    """

    keys: dict[str, bytes]
    accept_plain: bool = False

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        name = next(iter(self.keys))
        return [self._encrypted(name, payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._decrypted(payload) for payload in payloads]

    def _encrypted(self, name: str, payload: Payload) -> Payload:
        nonce = os.urandom(NONCE_BYTES)
        sealed = _cipher(self.keys[name]).encrypt(nonce, payload.SerializeToString(), name.encode())
        return Payload(metadata={"encoding": ENCODING, KEY_ID: name.encode()}, data=nonce + sealed)

    def _decrypted(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload if self.accept_plain else _refused("not encrypted")
        name = payload.metadata.get(KEY_ID, b"").decode(errors="replace")
        if name not in self.keys:
            return _refused("encrypted with a key that is not here")
        nonce, sealed = payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:]
        try:
            return Payload.FromString(_cipher(self.keys[name]).decrypt(nonce, sealed, name.encode()))
        except Exception:  # another key of the same id, or somebody's own bytes
            return _refused("not what was encrypted")


def _refused(why: str) -> Payload:
    """Every converter complains of its encoding when it is read."""
    return Payload(metadata={"encoding": REFUSED}, data=why.encode())


def _cipher(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise BadInput("temporal_keys needs the package cryptography: pip install 'driftline[encryption]'") from None
    return AESGCM(key)
