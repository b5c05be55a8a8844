"""Temporal behind TLS with client certificates, and payloads that only key holders read."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import tomli_w
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowFailureError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.runtime import Runtime
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from driftline import temporal_client
from driftline.contracts import BadInput
from driftline.embedded import temporal
from driftline.settings import Settings
from driftline.temporal_client import Encryption, read_keys

OLD, NEW = {"2025": bytes(32)}, {"2026": b"k" * 32}
SECRET = b"the interests of user 7"


def payload(data: bytes = SECRET) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=data)


async def test_only_a_holder_of_the_key_reads() -> None:
    first, second = await Encryption(OLD).encode([payload(), payload()])
    assert SECRET not in first.data
    assert first.data != second.data
    assert await Encryption(OLD).decode([first, second]) == [payload(), payload()]


async def test_a_key_is_replaced_without_a_stop() -> None:
    (before,) = await Encryption(OLD).encode([payload()])
    (after,) = await Encryption(NEW | OLD).encode([payload()])
    assert after.metadata["encryption-key-id"] == b"2026"
    assert await Encryption(NEW | OLD).decode([before, after]) == [payload(), payload()]


async def test_what_cannot_be_read_is_handed_on_and_never_raises() -> None:
    (sealed,) = await Encryption(OLD).encode([payload()])
    (foreign,) = await Encryption({"2025": b"x" * 32}).encode([payload()])
    damaged = Payload(metadata=sealed.metadata, data=sealed.data[:-1] + b"!")
    renamed = Payload(metadata={**sealed.metadata, "encryption-key-id": b"2026"}, data=sealed.data)
    tried = [payload(), foreign, damaged, renamed, Payload(), Payload(metadata=sealed.metadata)]
    for found in await Encryption(NEW | OLD).decode(tried):
        assert found.metadata["encoding"] == b"driftline/refused"
        with pytest.raises(Exception, match="driftline/refused"):
            pydantic_data_converter.payload_converter.from_payloads([found], [str])
    assert await Encryption(OLD, accept_plain=True).decode([payload(), sealed]) == [payload(), payload()]


@pytest.mark.parametrize(("text", "why"), [("", "has no key"), ("one", "line 1"), ("# k\n1 AAAA", "line 2"), ("1 ?", "line 1")])
def test_a_wrong_file_of_keys_is_one_clear_line(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "keys"
    file.touch(0o600)
    file.write_text(text)
    with pytest.raises(BadInput, match=f"{why}.*openssl rand -base64 32"):
        read_keys(file)
    file.chmod(0o640)
    with pytest.raises(BadInput, match="chmod 600"):
        read_keys(file)


@workflow.defn(sandboxed=False)
class Waits:
    def __init__(self) -> None:
        self.heard: list[str] = []

    @workflow.run
    async def run(self, what: str) -> str:
        await workflow.wait_condition(lambda: bool(self.heard))
        raise ApplicationError(f"{what} and {self.heard}")

    @workflow.signal
    def hear(self, what: str) -> None:
        self.heard.append(what)


def certificates(folder: Path) -> None:
    """`ca.pem`; `server.pem` and `client.pem`, each with a `.key`, both signed by it."""
    names = {name: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("ca", "server", "client")}
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in names}
    now = datetime.now(UTC)
    for name, key in keys.items():
        made = x509.CertificateBuilder().subject_name(names[name]).issuer_name(names["ca"]).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + timedelta(days=1))
        made = made.add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
        made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        pem = made.sign(keys["ca"], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        (folder / f"{name}.pem").write_bytes(pem)
        plain = serialization.NoEncryption()
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        (folder / f"{name}.key").write_bytes(private)


@asynccontextmanager
async def behind_tls(folder: Path, target: str) -> AsyncIterator[str]:
    """A door in front of a server that asks for a certificate of our CA; its address."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.set_alpn_protocols(["h2"])

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = target.partition(":")
        inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer), return_exceptions=True)

    server = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def test_a_run_over_tls_with_client_certificates_and_encryption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    certificates(tmp_path)
    keys = tmp_path / "keys"
    keys.touch(0o600)
    keys.write_text("2026 " + "a2" * 20 + "a2s=\n")
    async with (
        await WorkflowEnvironment.start_local(dev_server_existing_path=temporal.binary()) as environment,
        behind_tls(tmp_path, environment.client.service_client.config.target_host) as address,
    ):
        tls = {"server_ca_cert_path": str(tmp_path / "ca.pem")}
        ours = {"client_cert_path": str(tmp_path / "client.pem"), "client_key_path": str(tmp_path / "client.key")}
        profiles = {
            "ours": {"address": address, "namespace": "default", "tls": tls | ours},
            "stranger": {"address": address, "tls": tls},
        }
        (tmp_path / "temporal.toml").write_text(tomli_w.dumps({"profile": profiles}))
        monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "temporal.toml"))
        with pytest.raises(RuntimeError):
            await temporal_client.connect(Settings(temporal_profile="stranger"), Runtime.default())
        settings = Settings(temporal_profile="ours", temporal_keys=keys)
        assert settings.temporal_address == address
        client = await temporal_client.connect(settings, Runtime.default())
        async with Worker(client, task_queue="q", workflows=[Waits]):
            handle = await client.start_workflow(Waits.run, SECRET.decode(), id="w", task_queue="q")
            # Whoever has no key can neither read it nor say anything to it, and harms nothing.
            await environment.client.get_workflow_handle("w").signal("hear", "from a stranger")
            await handle.signal("hear", "a friend")
            with pytest.raises(WorkflowFailureError) as failed:
                await handle.result()
            assert str(failed.value.cause) == f"{SECRET.decode()} and ['a friend']"
        written = (await environment.client.get_workflow_handle("w").fetch_history()).to_json()
        assert SECRET.decode() not in written
        assert "friend" not in written


def test_a_profile_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "none.toml"))
    with pytest.raises(ValueError, match="temporal_profile = 'gone'"):
        Settings(temporal_profile="gone")


def test_settings_go_before_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.toml").write_text('[profile.p]\naddress = "a:1"\nnamespace = "theirs"\napi_key = "key"\n')
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "t.toml"))
    assert Settings(temporal_profile="p").temporal() == {
        "target_host": "a:1",
        "namespace": "theirs",
        "api_key": "key",
        "tls": True,
    }
    ours = Settings(temporal_profile="p", temporal_address="b:2", temporal_namespace="ours", temporal_api_key="other")
    assert ours.temporal() == {"target_host": "b:2", "namespace": "ours", "api_key": "other", "tls": True}
