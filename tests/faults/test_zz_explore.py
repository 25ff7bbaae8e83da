import time, traceback
from tests.faults.helpers import *
from tests.servers import faults
import pytest
def show(t, **kw):
    s=time.time()
    try:
        r=t.run(**kw)
        print(round(time.time()-s,2), r.report.exit_code, dict(rules_of(r.report)), [(f.cause,f.message[-330:]) for f in real(r.report)][:1], r.report.run.caller_arn)
    except Exception as e: print(round(time.time()-s,2),"RAISED",type(e).__name__,str(e)[:600])
@pytest.mark.parametrize("op",["DescribeTrails","ListPublicKeys","STS"])
@pytest.mark.parametrize("act",["throttling","reset","hang","int","expired"])
def test_api(aws, fault_proxy, monkeypatch, act, op):
    t=deliver(aws)
    p=fault_proxy(aws.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS" if op=="STS" else "AWS_ENDPOINT_URL_CLOUDTRAIL", p.endpoint)
    A=dict(throttling=faults.throttling(),reset=faults.Reset(),hang=faults.Hang(),int=faults.api_error(500,"InternalFailure","x"),expired=faults.api_error(400,"ExpiredTokenException","The security token included in the request is expired"))[act]
    w=dict(operation=op) if op!="STS" else dict(method="POST")
    print("\n==",op,act)
    for first in (1,None):
        p.clear(); p.fault(A, first=first, **w)
        show(t,trail_arn=t.arn)
@pytest.mark.parametrize("den",[["cloudtrail:DescribeTrails"],["cloudtrail:DescribeTrails","cloudtrail:GetTrail"],["cloudtrail:ListPublicKeys"],["s3:ListBucket"],["s3:GetObject"],["account:ListRegions","ec2:DescribeRegions","organizations:ListAccounts","sts:GetCallerIdentity","cloudtrail:GetTrailStatus"]])
def test_den(aws,den):
    t=deliver(aws); aws.denied|=set(den); print("\n==",den)
    show(t,trail_arn=t.arn); show(t); show(t,trail_arn=t.arn,bucket=BUCKET)
def test_misc(aws,monkeypatch,tmp_path):
    t=deliver(aws); print()
    show(t,bucket="no-such-bucket"); show(t,trail_arn=t.arn+"x"); show(t,trail_arn=t.arn,bucket="no-such")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID"); show(t); monkeypatch.setenv("AWS_ACCESS_KEY_ID","AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_CA_BUNDLE",str(tmp_path)); show(t)
    monkeypatch.setenv("AWS_CA_BUNDLE",str(tmp_path/"none")); show(t);show(t,trail_arn=t.arn)
    (tmp_path/"x").write_text("hello"); monkeypatch.setenv("AWS_CA_BUNDLE",str(tmp_path/"x")); show(t); show(t,trail_arn=t.arn)
    monkeypatch.delenv("AWS_CA_BUNDLE")
    show(t,profile="nope")
    show(t,role_arn="arn:aws:iam::123456789012:role/auditor")
    aws.denied.add("sts:AssumeRole"); show(t,role_arn="arn:aws:iam::123456789012:role/auditor"); show(t,trail_arn=t.arn,role_arn="arn:aws:iam::123456789012:role/auditor")
    monkeypatch.setenv("AWS_ENDPOINT_URL","http://127.0.0.1:1"); show(t); show(t,trail_arn=t.arn)
    monkeypatch.setenv("AWS_ENDPOINT_URL","not a url"); show(t)
    show(t,endpoint_url="nonsense")
def test_level(aws,fault_proxy,monkeypatch):
    t=deliver(aws); p=fault_proxy(aws.endpoint); monkeypatch.setenv("AWS_ENDPOINT_URL",p.endpoint); print()
    for w in ["delimiter=/.*prefix=AWSLogs/(&|$)", "delimiter=/.*CloudTrail-Digest/(&|$)","delimiter=/.*/CloudTrail/(&|$)","list-type=2.*/CloudTrail/us-east-1/","prefix=AWSLogs/123456789012"]:
        p.clear(); r=p.fault(faults.access_denied(), query=w); print(w); show(t); print(r.fired)
        if not r.fired: print([s.query for s in p.seen])
