"""Trusted certificates are read once for all clients of an identity, and each connection is verified against them."""

from __future__ import annotations

import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import SSLError

from cloudtrail_validate.aws.session import Aws
from tests.servers.certificates import Authority
from tests.servers.clients import ACCESS_KEY, SECRET_KEY
from tests.stores.recorder import Recorder, recording

REGIONS = ("eu-west-1", "eu-west-2", "us-east-1", "us-east-2", "ap-south-1")
BUCKETS = b"HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n<ListAllMyBucketsResult/>"


def identity(recorder: Recorder, host: str = "localhost") -> Aws:
    session = boto3.Session(ACCESS_KEY, SECRET_KEY, region_name="us-east-1")
    endpoint = f"https://{host}:{recorder.endpoint.rpartition(':')[2]}"
    return Aws(session, endpoint_url=endpoint, connect=5, read=5, attempts=1)


def ask(aws: Aws, region: str) -> None:
    aws.client("s3", region).list_buckets()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Files of certificates that a context reads, one after the other."""
    files: list[Any] = []
    load = ssl.SSLContext.load_verify_locations

    def counted(context: ssl.SSLContext, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
        if cafile is not None:
            files.append(cafile)
        load(context, cafile, capath, cadata)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)
    return files


def test_the_file_is_read_once_however_many_clients_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_env: None, read: list[Any]
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.ca_file))
    with recording(authority.context("localhost")) as recorder, ThreadPoolExecutor(len(REGIONS)) as threads:
        recorder.last, recorder.closes = BUCKETS, True
        aws = identity(recorder)
        for _ in range(2):
            list(threads.map(lambda region: ask(aws, region), REGIONS))
        assert recorder.connections == 2 * len(REGIONS)
    assert read == [str(authority.ca_file)]


def test_who_is_not_trusted_or_bears_another_name_is_refused_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_env: None
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "other").mkdir()
    own, other = Authority(tmp_path / "own"), Authority(tmp_path / "other")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(own.ca_file))
    with recording(own.context("localhost")) as trusted, recording(other.context("localhost")) as foreign:
        for recorder in (trusted, foreign):
            recorder.last, recorder.closes = BUCKETS, True
        aws, misled = identity(trusted), identity(trusted, "127.0.0.1")
        elsewhere = identity(foreign)
        for region in REGIONS[:2]:
            ask(aws, region)
            for refused in (misled, elsewhere):
                with pytest.raises(SSLError):
                    ask(refused, region)
        assert not foreign.requests


def test_a_file_that_could_not_be_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_env: None
) -> None:
    authority = Authority(tmp_path)
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(authority.ca_file.read_bytes())
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    with recording(authority.context("localhost")) as recorder:
        recorder.last, recorder.closes = BUCKETS, True
        aws = identity(recorder)
        bundle.unlink()
        for _ in range(2):
            with pytest.raises((OSError, SSLError)):
                ask(aws, REGIONS[0])
        bundle.write_bytes(authority.ca_file.read_bytes())
        ask(aws, REGIONS[0])
