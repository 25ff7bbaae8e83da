"""The signed statement: DSSE to the byte, in-toto in form, and every change of it named."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cloudtrail_validate.aws import signing as user_keys
from cloudtrail_validate.snapshot import signing, statement
from tests.snapshot.helpers import BUCKET, in_folder, in_moto, report, verify
from tests.snapshot.test_signing import SORTS, make_key, openssl
from tests.snapshot.test_verifying import named

if TYPE_CHECKING:
    from tests.servers.aws import AwsServer

STATEMENT = "statement.dsse.json"


@pytest.fixture(scope="session")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, user_keys.FileSigner]:
    folder = tmp_path_factory.mktemp("stated")
    key = Ed25519PrivateKey.generate()
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert in_folder(folder, "log-altered").snapshot(folder / "s", "--sign-with", str(folder / "key.pem")).code == 1
    return folder / "s", user_keys.FileSigner(key)


@pytest.fixture
def snapshot(signed: tuple[Path, user_keys.FileSigner], tmp_path: Path) -> Path:
    return Path(shutil.copytree(signed[0], tmp_path / "s"))


def envelope(folder: Path) -> Any:
    return json.loads((folder / STATEMENT).read_text())


def stated(folder: Path) -> Any:
    return json.loads(base64.b64decode(envelope(folder)["payload"]))


def sign_again(folder: Path, signer: user_keys.FileSigner, payload: Any, kind: str = statement.PAYLOAD_TYPE) -> None:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    signature = signer.sign(statement.pre_authentication(kind, data))
    made = {
        "payload": base64.b64encode(data).decode(),
        "payloadType": kind,
        "signatures": [{"sig": base64.b64encode(signature).decode()}],
    }
    (folder / STATEMENT).write_text(json.dumps(made))


def test_the_encoding_is_that_of_the_specification() -> None:
    told = statement.pre_authentication("http://example.com/HelloWorld", b"hello world")
    assert told == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"  # dsse/protocol.md, test vectors
    assert statement.pre_authentication("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "


def test_is_about_manifest_report_and_keys(snapshot: Path) -> None:
    told = stated(snapshot)
    assert told["_type"] == "https://in-toto.io/Statement/v1"
    sums = subprocess.run(
        ["sha256sum", *(subject["name"] for subject in told["subject"])],
        cwd=snapshot, check=True, text=True, capture_output=True,
    ).stdout  # fmt: skip
    assert {line.split()[1]: line.split()[0] for line in sums.splitlines()} == {
        subject["name"]: subject["digest"]["sha256"] for subject in told["subject"]
    }
    assert {subject["name"] for subject in told["subject"]} == {"manifest.json", "report.json", "keys.json"}
    predicate = told["predicate"]
    assert (predicate["verdict"], predicate["exitCode"]) == ("changed", 1)
    assert predicate["summary"]["logs"]["altered"] == report(snapshot).summary.logs.altered == 1
    assert "statement  in-toto, signed by the same key, about 3 files" in verify(snapshot).out


@pytest.mark.parametrize("sort", SORTS)
def test_openssl_verifies_it(tmp_path: Path, sort: str) -> None:
    world, folder = in_folder(tmp_path), tmp_path / "s"
    key = make_key(tmp_path, "key.pem", *SORTS[sort])
    assert world.snapshot(folder, "--sign-with", str(key)).code == 0
    payload = base64.b64decode(envelope(folder)["payload"])
    (tmp_path / "pae").write_bytes(b"DSSEv1 28 application/vnd.in-toto+json %d " % len(payload) + payload)
    (tmp_path / "raw").write_bytes(base64.b64decode(envelope(folder)["signatures"][0]["sig"]))
    public = user_keys.parse_public((folder / "manifest.pub.pem").read_bytes())
    assert public is not None
    line = signing.openssl_line(public, str(folder / "manifest.pub.pem"), "raw", "pae")
    assert openssl(*line.split()[1:], cwd=tmp_path).returncode == 0
    said = verify(folder)
    assert said.code == 0, said.out
    assert f"{sort}, valid" in said.out


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "\xff", '{"payload": "é", "payloadType": "x", "signatures": []}', "[" * 100_000]
)
def test_what_is_none_is_named(snapshot: Path, text: str) -> None:
    (snapshot / STATEMENT).write_text(text, encoding="latin-1")
    said = verify(snapshot)
    assert (said.code, named(said)) == (1, {STATEMENT})


def test_taken_away_is_missed_and_added_is_named(snapshot: Path, tmp_path: Path) -> None:
    world = in_folder(tmp_path)
    assert world.snapshot(tmp_path / "unsigned").code == 0
    shutil.copy(snapshot / STATEMENT, tmp_path / "unsigned")
    assert named(verify(tmp_path / "unsigned")) == {STATEMENT}
    (snapshot / STATEMENT).unlink()
    assert named(verify(snapshot)) == {STATEMENT}


class TestByTheSameKey:
    """Even who signs may not say another thing than the snapshot holds."""

    def change(self, folder: Path, signer: user_keys.FileSigner, **predicate: Any) -> set[str]:
        told = stated(folder)
        told["predicate"].update(predicate)
        sign_again(folder, signer, told)
        return named(verify(folder))

    def test_as_it_is(self, snapshot: Path, signed: tuple[Path, user_keys.FileSigner]) -> None:
        assert self.change(snapshot, signed[1]) == set()

    def test_another_verdict(self, snapshot: Path, signed: tuple[Path, user_keys.FileSigner]) -> None:
        assert self.change(snapshot, signed[1], verdict="valid", exitCode=0) == {STATEMENT}

    def test_another_snapshot(self, snapshot: Path, signed: tuple[Path, user_keys.FileSigner]) -> None:
        told = stated(snapshot)
        told["subject"][1]["digest"]["sha256"] = "0" * 64
        sign_again(snapshot, signed[1], told)
        assert "is about another manifest.json" in verify(snapshot).out

    def test_nothing(self, snapshot: Path, signed: tuple[Path, user_keys.FileSigner]) -> None:
        sign_again(snapshot, signed[1], stated(snapshot) | {"subject": []})
        assert "is not about manifest.json" in verify(snapshot).out

    def test_of_another_type(self, snapshot: Path, signed: tuple[Path, user_keys.FileSigner]) -> None:
        sign_again(snapshot, signed[1], stated(snapshot), "application/json")
        assert named(verify(snapshot)) == {STATEMENT}

    def test_another_key(self, snapshot: Path) -> None:
        sign_again(snapshot, user_keys.FileSigner(Ed25519PrivateKey.generate()), stated(snapshot))
        assert "bears no signature by the key" in verify(snapshot).out


class TestKms:
    SPECS = ("ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "RSA_2048")

    def make(self, aws: AwsServer, spec: str = "ECC_NIST_P256", usage: str = "SIGN_VERIFY") -> str:
        made = aws.client("kms").create_key(KeySpec=spec, KeyUsage=usage)
        return str(made["KeyMetadata"]["Arn"])

    @pytest.mark.parametrize("spec", SPECS)
    def test_signs_what_anybody_verifies_without_aws(self, aws: AwsServer, tmp_path: Path, spec: str) -> None:
        arn, folder = self.make(aws, spec), tmp_path / "s"
        said = in_moto(aws).snapshot(folder, "--sign-with", f"kms:{arn}")
        assert said.code == 0, said.err
        assert aws.calls["kms:Sign", "us-east-1"] == 2
        assert stated(folder)["predicate"]["signer"] == arn
        assert arn in (folder / "DECLARATION.md").read_text()
        answer = aws.client("kms").get_public_key(KeyId=arn)["PublicKey"]
        public = user_keys.parse_public(answer)
        assert public is not None
        (tmp_path / "pub.pem").write_bytes(user_keys.public_pem(public))
        aws.calls.clear()
        said = verify(folder, "--public-key", str(tmp_path / "pub.pem"))
        assert said.code == 0, said.out
        assert not aws.calls
        (tmp_path / "raw").write_bytes(base64.b64decode((folder / "manifest.sig").read_bytes()))
        line = signing.openssl_line(public, "pub.pem", "raw", str(folder / "manifest.json"))
        assert openssl(*line.split()[1:], cwd=tmp_path).returncode == 0

    @pytest.mark.parametrize(("spec", "usage"), [("RSA_2048", "ENCRYPT_DECRYPT"), ("ECC_SECG_P256K1", "SIGN_VERIFY")])
    def test_key_that_cannot_sign_is_refused_before_anything_is_read(
        self, aws: AwsServer, tmp_path: Path, spec: str, usage: str
    ) -> None:
        arn, world = self.make(aws, spec, usage), in_moto(aws)
        said = world.snapshot(tmp_path / "s", "--sign-with", arn)
        assert said.code == 2
        assert "expected a key for SIGN_VERIFY" in said.err
        assert not (tmp_path / "s").exists()

    @pytest.mark.parametrize("denied", ["kms:GetPublicKey", "kms:Sign"])
    def test_permission_that_is_missing_is_named(self, aws: AwsServer, tmp_path: Path, denied: str) -> None:
        arn, world, folder = self.make(aws), in_moto(aws), tmp_path / "s"
        aws.denied.add(denied)
        said = world.snapshot(folder, "--sign-with", f"kms:{arn}")
        assert said.code == (2 if denied == "kms:GetPublicKey" else 3)
        assert f"allow {denied}" in said.err
        if denied == "kms:Sign":
            assert "the same command goes on with it" in said.err
            aws.denied.clear()
            assert world.snapshot(folder, "--sign-with", f"kms:{arn}").code == 0
            assert verify(folder).code == 0

    def test_what_an_interrupted_signing_left_is_not_taken_along(self, aws: AwsServer, tmp_path: Path) -> None:
        arn, world, folder = self.make(aws), in_moto(aws), tmp_path / "s"
        aws.denied.add("kms:Sign")
        assert world.snapshot(folder, "--sign-with", f"kms:{arn}").code == 3
        assert world.snapshot(folder).code == 0
        assert verify(folder).code == 0
        assert not {path.name for path in folder.iterdir()} & {"manifest.pub.pem", "manifest.sig", STATEMENT}

    @pytest.mark.parametrize(
        "name", ["kms:alias/audit", "kms:", "arn:aws:s3:::amzn-s3-demo-bucket", f"kms:arn:aws:s3:::{BUCKET}"]
    )
    def test_what_names_no_key_is_refused(self, aws: AwsServer, tmp_path: Path, name: str) -> None:
        said = in_moto(aws).snapshot(tmp_path / "s", "--sign-with", name)
        assert said.code == 2
        assert "expected a file, or kms:arn:aws:kms:REGION:ACCOUNT:key/ID" in said.err

    def test_key_that_is_not_there(self, aws: AwsServer, tmp_path: Path) -> None:
        said = in_moto(aws).snapshot(
            tmp_path / "s",
            "--sign-with",
            "kms:arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000",
        )
        assert said.code == 2
        assert "kms:GetPublicKey: NotFoundException" in said.err
