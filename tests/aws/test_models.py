"""Service models read quickly are the ones that botocore itself reads."""

from __future__ import annotations

import gzip
from pathlib import Path

import botocore
import botocore.exceptions
import botocore.session
import pytest
from botocore.loaders import JSONFileLoader

from cloudtrail_validate.aws.models import ModelLoader, load_quickly

DATA = Path(botocore.__file__).parent / "data"
USED = (
    "endpoints",
    "partitions",
    "sdk-default-configuration",
    "s3/2006-03-01/service-2",
    "sts/2011-06-15/service-2",
    "s3/2006-03-01/endpoint-rule-set-1",
    "cloudtrail/2013-11-01/service-2",
)


@pytest.mark.parametrize("name", USED)
def test_a_file_of_botocores_means_the_same(name: str) -> None:
    path = str(DATA / name)
    assert ModelLoader().load_file(path) == JSONFileLoader().load_file(path)


@pytest.mark.parametrize("name", ["s3/2006-03-01/service-2", "cloudtrail/2013-11-01/service-2"])
def test_members_keep_their_order(name: str) -> None:
    ours, theirs = (loader.load_file(str(DATA / name)) for loader in (ModelLoader(), JSONFileLoader()))
    for shape in theirs["shapes"]:
        assert list(ours["shapes"][shape].get("members", ())) == list(theirs["shapes"][shape].get("members", ()))


def test_what_is_no_file_is_none_and_what_is_damaged_fails_as_in_botocore(tmp_path: Path) -> None:
    assert ModelLoader().load_file(str(tmp_path / "absent")) is None
    (tmp_path / "broken.json").write_text('{"a": ')
    (tmp_path / "cut.json.gz").write_bytes(gzip.compress(b'{"a": 1}')[:-3])
    (tmp_path / "packed.json.gz").write_bytes(gzip.compress(b'{"a": 1}'))
    assert ModelLoader().load_file(str(tmp_path / "packed")) == {"a": 1}
    with pytest.raises(ValueError, match="Expecting value"):
        ModelLoader().load_file(str(tmp_path / "broken"))
    with pytest.raises(EOFError):
        ModelLoader().load_file(str(tmp_path / "cut"))


def test_a_session_makes_its_clients_from_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JSONFileLoader, "_load_file", lambda *_: None)  # botocore's own finds nothing
    session = botocore.session.Session()
    load_quickly(session)
    client = session.create_client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    assert client.meta.service_model.operation_model("GetObject").http["method"] == "GET"


def test_services_are_known_as_botocore_knows_them() -> None:
    """Asked about one, it looks for that one; asked for all, it has botocore's list."""
    ours, theirs = botocore.session.Session(), botocore.session.Session()
    load_quickly(ours)
    known = ours.get_component("data_loader").list_available_services("service-2")
    expected = theirs.get_component("data_loader").list_available_services("service-2")
    for name in (*expected[:3], "s3", "cloudtrail", "no-such-service", "..", "", "s3/2006-03-01", "endpoints.json"):
        assert (name in known) == (name in expected), name
    assert list(known) == expected
    assert len(known) == len(expected)
    assert known[:2] == expected[:2]
    assert known[0] == expected[0]
    assert list(ours.get_available_services()) == theirs.get_available_services()
    with pytest.raises(botocore.exceptions.UnknownServiceError, match="Unknown service: 'cloudtrial'"):
        ours.create_client("cloudtrial", region_name="us-east-1")
