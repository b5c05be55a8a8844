"""One protocol, wherever artifacts are: in a folder, in a store of fsspec, in a real S3 server."""

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftline.activities.artifacts import Artifacts
from driftline.activities.remote import RemoteArtifacts, opened
from driftline.activities.resources import Resources, artifacts_of
from driftline.contracts import BadInput
from driftline.settings import Settings
from tests.activities.chain import Chain, onward


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an empty bucket of a server that speaks S3."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    asked = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patched:
        for name, value in (asked | {"AWS_ENDPOINT_URL_S3": f"http://{host}:{port}", "AWS_ENDPOINT_URL": ""}).items():
            patched.setenv(name, value)
        patched.delenv("AWS_ENDPOINT_URL")
        opened("s3://bucket").mkdir("bucket")
        yield "s3://bucket"
        server.stop()


@pytest.fixture(params=["", "memory", "s3"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> Artifacts:
    if request.param == "s3":
        return artifacts_of(tmp_path, f"{request.getfixturevalue('s3')}/{uuid.uuid4().hex}")
    return artifacts_of(tmp_path, request.param and f"memory://store-{uuid.uuid4().hex}")


def stored(artifacts: Artifacts, files: dict[str, str], kind: str = "things") -> tuple[str, str]:
    with artifacts.folder() as folder:
        for name, text in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        return artifacts.store(kind, folder)


def test_what_was_stored_is_found_listed_and_removed(artifacts: Artifacts) -> None:
    uri, digest = stored(artifacts, {"a": "1", "sub/b": "2", "cost.json": "{}"})
    found = artifacts.find(uri, digest)
    assert {path.name: path.read_text() for path in found.rglob("*") if path.is_file()} == {"a": "1", "b": "2", "cost.json": "{}"}
    assert stored(artifacts, {"a": "1", "sub/b": "2"}) == (uri, digest)
    other = stored(artifacts, {"a": "3"}, "others")
    assert {(each.kind, each.uri, each.hash) for each in artifacts.everything()} == {("things", uri, digest), ("others", *other)}
    assert {each.bytes for each in artifacts.everything()} == {4, 1}
    artifacts.remove(next(each for each in artifacts.everything() if each.uri == uri))
    assert [each.uri for each in artifacts.everything()] == [other[0]]
    with pytest.raises(BadInput, match="is lost"):
        artifacts.find(uri, digest)
    with pytest.raises(BadInput, match="another content"):
        artifacts.find(other[0], digest)
    with pytest.raises(BadInput, match="is not in"):
        artifacts.find(f"{uri.partition('/things')[0]}/../secret/things/{digest}")


def test_under_a_name_of_its_own(artifacts: Artifacts, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a").write_text("1")
    assert artifacts.get("mappings/f00d", "abc") is None
    uri = artifacts.put("mappings/f00d", "abc", tmp_path / "new")
    again = artifacts.get("mappings/f00d", "abc")
    assert again is not None
    assert (again[0], (again[1] / "a").read_text()) == (uri, "1")
    assert artifacts.newest("mappings/f00d", 2) == [again[1]]
    assert artifacts.newest("mappings/beef", 2) == []
    assert [(each.kind, each.uri) for each in artifacts.everything()] == [("mappings/f00d", uri)]


def objects(artifacts: RemoteArtifacts) -> list[str]:
    files = opened(artifacts.url)
    return sorted(files.find(files._strip_protocol(artifacts.url)))


@pytest.fixture(params=["memory", "s3"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> RemoteArtifacts:
    base = request.getfixturevalue("s3") if request.param == "s3" else "memory://store"
    return RemoteArtifacts(f"{base}/{uuid.uuid4().hex}", tmp_path / "cache")


def test_without_its_manifest_it_is_not_there(remote: RemoteArtifacts) -> None:
    """As after a kill between the files and the manifest: nobody sees it, it is made again, and the rest is scrap."""
    uri, digest = stored(remote, {"a": "1"})
    files = opened(remote.url)
    files.rm_file(next(path for path in objects(remote) if path.endswith("manifest.json")))
    with pytest.raises(BadInput, match="is lost"):
        remote.find(uri, digest)
    (scrap,) = remote.everything()
    assert (scrap.kind, scrap.hash) == ("damaged", "")
    assert stored(remote, {"a": "1"}) == (uri, digest)
    assert remote.find(uri, digest)
    assert len([each for each in remote.everything() if each.hash]) == 1
    remote.remove(scrap)
    assert remote.find(uri, digest)
    assert [each.uri for each in remote.everything()] == [uri]


@pytest.mark.parametrize("how", ["flipped", "truncated", "gone"])
def test_what_is_damaged_in_the_store_is_given_to_nobody(remote: RemoteArtifacts, how: str, tmp_path: Path) -> None:
    uri, digest = stored(remote, {"weights": "0123456789", "b": "2"})
    files = opened(remote.url)
    path = next(path for path in objects(remote) if path.endswith("weights"))
    if how == "gone":
        files.rm_file(path)
    else:
        files.pipe_file(path, b"0123x56789" if how == "flipped" else b"0123")
    with pytest.raises(BadInput, match="damaged and is set aside"):
        remote.find(uri, digest)
    assert not [path for path in remote.cache.iterdir() if path.name.startswith(".new-")]
    with pytest.raises(BadInput, match="is lost"):
        remote.find(uri, digest)
    assert stored(remote, {"weights": "0123456789", "b": "2"}) == (uri, digest)
    assert (remote.find(uri, digest) / "weights").read_text() == "0123456789"


def test_what_is_damaged_on_this_machine_is_fetched_again(remote: RemoteArtifacts) -> None:
    uri, digest = stored(remote, {"a": "1"})
    (remote.find(uri, digest) / "a").write_text("x")
    assert (remote.find(uri, digest) / "a").read_text() == "1"


def test_two_that_store_the_same_do_not_mix(remote: RemoteArtifacts, tmp_path: Path) -> None:
    """What is no content differs between them."""
    others = [RemoteArtifacts(remote.url, tmp_path / f"cache-{number}") for number in range(4)]
    wrong: list[BaseException] = []

    def store(number: int) -> None:
        try:
            uri, digest = stored(others[number], {"a": "1", "train.json": str(number)})
            others[number].find(uri, digest)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=store, args=(number,)) for number in range(len(others))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len([each for each in remote.everything() if each.hash]) == 1


def test_a_store_that_cannot_be_used_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"artifacts = 'nonsense://a' cannot be used here"):
        artifacts_of(tmp_path, "nonsense://a").find("nonsense://a/things/00")


def test_workers_on_two_machines_without_a_shared_file_system(s3: str, postgres_url: str, tmp_path: Path) -> None:
    """Every step on another machine than the one before: each has a home of its own."""
    url = f"{s3}/{uuid.uuid4().hex}"
    chain = Chain(postgres_url, tmp_path)

    def on(machine: str) -> Chain:
        chain.resources = Resources(chain.engine, tmp_path / machine, store=url)
        chain.resources.allowed.add(Settings(source=chain.source))
        return chain

    prompts = on("one").rendered()
    mapping = on("two").mapped(prompts, onward)
    table = on("three").stored(mapping=mapping)
    assert table.rows == mapping.rows
    assert prompts.uri.startswith(url)
    assert not list(tmp_path.glob("*/artifacts"))
