"""A CloudTrail trail with all its digests, signed with keys of its own, whole or tampered with on purpose.

    spec = TrailSpec(regions=("us-east-1", "eu-west-1"), hours=48)
    simulation = simulate(spec, FolderSink("trail"), tampers=("log-altered", "digest-missing:2"))
    Path("keys.json").write_text(simulation.keys.as_json())
    for finding in simulation.manifest.expected():
        ...

What AWS writes is in the format notes that `spec`, `naming` and `digests` cite. Nothing here uses the verifier's code.
"""

from cloudtrail_validate.simulate.lake import LakeManifest, LakeSimulation, LakeSpec, simulate_lake
from cloudtrail_validate.simulate.manifest import Expected, Manifest, Planted
from cloudtrail_validate.simulate.placing import RULES, Tamper, TamperError
from cloudtrail_validate.simulate.run import Simulation, simulate
from cloudtrail_validate.simulate.signing import PublishedKey, PublishedKeys, generate_key
from cloudtrail_validate.simulate.sinks import Delivery, FolderSink, Role, S3Sink, Sink
from cloudtrail_validate.simulate.spec import AccountRegion, Restart, TrailSpec

__all__ = [
    "RULES",
    "AccountRegion",
    "Delivery",
    "Expected",
    "FolderSink",
    "LakeManifest",
    "LakeSimulation",
    "LakeSpec",
    "Manifest",
    "Planted",
    "PublishedKey",
    "PublishedKeys",
    "Restart",
    "Role",
    "S3Sink",
    "Simulation",
    "Sink",
    "Tamper",
    "TamperError",
    "TrailSpec",
    "generate_key",
    "simulate",
    "simulate_lake",
]
