"""A state that was not signed, or with another key, is signed, and believed only once it was read again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cloudtrail_validate.cli import main
from cloudtrail_validate.core.errors import ConfigurationError
from cloudtrail_validate.core.layout import Folder
from cloudtrail_validate.core.model import Interval
from cloudtrail_validate.core.plan import AccountRegion
from cloudtrail_validate.runtime.loop import run_loop
from cloudtrail_validate.state.codec import INDEX, decode, encode, read
from cloudtrail_validate.state.compare import fingerprint_of
from cloudtrail_validate.state.keeping import Loaded, adopt, load, save
from cloudtrail_validate.state.listing import list_hours
from cloudtrail_validate.state.model import RegionState, State
from cloudtrail_validate.state.signing import open_signer
from cloudtrail_validate.state.storage import ConflictError, LocalStorage, Tag, storage_of
from cloudtrail_validate.stores.local import Local
from tests.servers.clients import make_client
from tests.state.test_model import REGION, state, stretch
from tests.state.test_runs import DAY, START, Trail, told, trail
from tests.state.test_signing import key_file, no_kms

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer

__all__ = ["trail"]
WINDOW = (START, START + 3 * DAY)


def sign(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["state", "sign", *map(str, words)])
    return int(ended.value.code or 0)


def test_the_next_run_reads_all_of_it_again_once(trail: Trail, tmp_path: Path) -> None:
    key = key_file(tmp_path)
    trail.ask(*WINDOW)
    with pytest.raises(ConfigurationError, match="state sign"):
        trail.ask(*WINDOW, state_sign_with=str(key))
    assert sign(trail.state, "--state-sign-with", key) == 0
    with pytest.raises(ConfigurationError, match="expected --state-sign-with"):
        trail.ask(*WINDOW)
    assert trail.ask(*WINDOW, state_sign_with=str(key)).summary.logs.valid == 144
    assert trail.ask(*WINDOW, state_sign_with=str(key)).summary.logs.valid == 0


def test_what_is_trusted_is_not(trail: Trail, tmp_path: Path) -> None:
    key = key_file(tmp_path)
    trail.ask(*WINDOW)
    assert sign(trail.state, "--state-sign-with", key, "--trust") == 0
    assert trail.ask(*WINDOW, state_sign_with=str(key)).summary.logs.valid == 0


def test_an_hour_that_somebody_wrote_into_it_is_found_out(trail: Trail, tmp_path: Path) -> None:
    """The fingerprint of what was altered, put into the state by somebody who can write it."""
    key = key_file(tmp_path)
    path = trail.logs(5)[0]
    whole = path.read_bytes()
    trail.ask(*WINDOW)
    path.write_bytes(trail.logs(6)[0].read_bytes())
    forged = trail.folder.parent / "forged"
    shutil.copytree(trail.folder, forged, copy_function=shutil.copy2)
    kept = decode(trail.state.read_bytes(), "x")
    (known,) = kept.regions
    place = AccountRegion(known.account, known.region, (Folder("", "AWSLogs/", known.account, known.region),))
    days = Interval(START - DAY, START + 4 * DAY)
    listed = run_loop(list_hours(Local(trail.folder), place, ("CloudTrail", "CloudTrail-Digest"), days, days.end))
    stretches = tuple(replace(item, fingerprint=fingerprint_of(item, listed)) for item in known.stretches)
    trail.state.write_bytes(encode(replace(kept, regions=(replace(known, stretches=stretches),))))
    assert trail.ask(*WINDOW).exit_code == 0  # what SECURITY.md says: whoever can write it can vouch for anything
    assert sign(trail.state, "--state-sign-with", key) == 0
    report = trail.ask(*WINDOW, state_sign_with=str(key))
    assert (report.exit_code, told(report)) == (1, ["log-altered"])
    path.write_bytes(whole)
    assert trail.ask(*WINDOW, state_sign_with=str(key)).exit_code == 0


def test_a_signed_one_wants_the_key_that_it_is_signed_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new, other = (key_file(tmp_path, f"{name}.pem") for name in ("old", "new", "other"))
    where = tmp_path / "a.state"
    where.write_bytes(encode(state(stretch(5)), INDEX, open_signer(str(old), no_kms)))
    before = where.read_bytes()
    for more in ((), ("--public-key", other.with_suffix(".pub"))):
        assert sign(where, "--state-sign-with", new, *more) == 2
        assert "expected --public-key FILE, that key" in capsys.readouterr().err
        assert where.read_bytes() == before
    assert sign(where, "--state-sign-with", new, "--public-key", old.with_suffix(".pub")) == 0
    assert "1 hours of 1 account-regions, of which the next run reads all" in capsys.readouterr().err
    assert read(where.read_bytes(), "x", INDEX, open_signer(str(new), no_kms).verifier).checked
    signed = where.read_bytes()
    assert sign(where, "--state-sign-with", new) == 0  # it is already
    assert where.read_bytes() == signed
    where.write_bytes(encode(state(stretch(5))))
    assert sign(where, "--state-sign-with", new, "--public-key", old.with_suffix(".pub")) == 2
    assert "is not signed" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"", b"ctvalidate.state/9\nx\nunsigned\n", b"\x1b[31m"])
def test_what_is_no_state_is_left_as_it_is(
    tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    where, key = tmp_path / "a.state", key_file(tmp_path)
    if content is not None:
        where.write_bytes(content)
    assert sign(where, "--state-sign-with", key) == 2
    assert "\x1b" not in capsys.readouterr().err
    assert (where.read_bytes() if where.exists() else None) == content


class Interrupted(LocalStorage):
    """Ends after so many files were saved, as a process that is killed."""

    left = 0

    def put(self, name: str, data: bytes, tag: Tag) -> Tag:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return super().put(name, data, tag)


def accounts() -> State:
    held = [RegionState(f"{number:012d}", REGION, None, (stretch(5),)) for number in range(1, 4)]
    return replace(state(), regions=tuple(held))


@pytest.mark.parametrize("saved", range(4))
def test_one_that_was_killed_is_finished_by_the_next(tmp_path: Path, saved: int) -> None:
    folder, signer = tmp_path / "states", open_signer(str(key_file(tmp_path)), no_kms)
    whole = accounts()
    save(LocalStorage(folder, sharded=True), "x", load_new(whole), whole)
    killed = Interrupted(folder, sharded=True)
    killed.left = saved
    with pytest.raises(KeyboardInterrupt):
        adopt(killed, "x", signer, None, trusted=False)
    adopted = adopt(LocalStorage(folder, sharded=True), "x", signer, None, trusted=False)
    assert {item.owed for item in adopted.regions} == {(stretch(5).start,)}
    again = load(
        LocalStorage(folder, sharded=True),
        "x",
        whole.source,
        whole.trail_arn,
        whole.saved,
        required=True,
        signer=signer,
    )
    assert again.state.regions == adopted.regions


def load_new(whole: State) -> Loaded:
    return Loaded(whole, created=True, tags={INDEX: None})


class Busy(LocalStorage):
    """Another run saves between each reading and each saving."""

    times = 2

    def put(self, name: str, data: bytes, tag: Tag) -> Tag:
        if self.times:
            self.times -= 1
            raise ConflictError(name)
        return super().put(name, data, tag)


def test_another_run_that_saves_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    signer = open_signer(str(key_file(tmp_path)), no_kms)
    where = tmp_path / "a.state"
    where.write_bytes(encode(state(stretch(5))))
    busy = Busy(where, sharded=False)
    assert adopt(busy, "x", signer, None, trusted=True) == state(stretch(5))
    busy.times = 100
    where.write_bytes(encode(state(stretch(5))))
    with pytest.raises(ConfigurationError, match="by other runs all the time"):
        adopt(busy, "x", signer, None, trusted=True)


def test_in_s3_with_a_key_of_kms(aws: AwsServer, tmp_path: Path) -> None:
    s3, kms = make_client("s3", aws.endpoint), make_client("kms", aws.endpoint)
    s3.create_bucket(Bucket="amzn-s3-demo-bucket")
    arn = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    whole = accounts()
    storage = storage_of("s3://amzn-s3-demo-bucket/states/", lambda _: s3)
    save(storage, "x", load_new(whole), whole)
    signer = open_signer(f"kms:{arn}", lambda _: kms)
    adopt(storage, "x", signer, None, trusted=True)
    again = load(storage, "x", whole.source, whole.trail_arn, whole.saved, required=True, signer=signer)
    assert again.state.regions == whole.regions
    assert [item.owed for item in again.state.regions] == [(), (), ()]
