"""The files for Ray's cluster launcher, by Ray's own code: schema, EC2 (moto), autoscaler.

What can be run of their commands without a machine of its own is run here;
`tests/test_cluster_launch.py` runs all of them, and starts a cluster by them.
"""

import fnmatch
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import botocore.client  # type: ignore[import-untyped]
import pytest
import yaml
from moto import mock_aws
from ray.autoscaler._private.aws import node_provider
from ray.autoscaler._private.aws.config import bootstrap_aws
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.tags import TAG_RAY_NODE_KIND, TAG_RAY_NODE_NAME
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil
from ray.scripts.scripts import cli

from tests.checkout import copy_checkout
from tests.cluster_file import CLUSTER_FILES, OPTIONS, read_cluster, switched_on
from tests.pip_environment import python_with_libraries

ROOT = Path(__file__).resolve().parent.parent
AWS = ["", "spot", "efa"]
GPU_MACHINES = {"p4d": "p4d.24xlarge", "p4de": "p4de.24xlarge"}
REGION = "us-west-2"
# All types of machines, for which moto needs seconds each time.
TYPES = cache(node_provider.list_ec2_instances)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, str]]:
    """An account with what docs/cluster.md has the user make; returns the names to fill in."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setattr(node_provider, "list_ec2_instances", TYPES)
    with mock_aws():
        iam = boto3.client("iam", region_name=REGION)
        for role in ("customdiffusion-head", "customdiffusion-worker"):
            trust = (ROOT / "deploy" / "aws" / "trust-policy.json").read_text()
            iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust)
            iam.create_instance_profile(InstanceProfileName=role)
            iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)
        ec2 = boto3.client("ec2", region_name=REGION)
        (vpc,) = ec2.describe_vpcs()["Vpcs"]
        public, private, *_ = ec2.describe_subnets()["Subnets"]
        ec2.modify_subnet_attribute(
            SubnetId=private["SubnetId"], MapPublicIpOnLaunch={"Value": False}
        )
        group = ec2.create_security_group(
            GroupName="own", Description="all among themselves, and SSH", VpcId=vpc["VpcId"]
        )
        yield {
            "PUBLIC_SUBNET": public["SubnetId"],
            "PRIVATE_SUBNET": private["SubnetId"],
            "SECURITY_GROUP": group["GroupId"],
        }


def bootstrapped(option: str, names: dict[str, str]) -> dict[str, Any]:
    """Return what ``ray up`` makes of cluster.yaml before it launches the head."""
    text = (ROOT / "cluster.yaml").read_text()
    text = switched_on(text, option) if option else text
    for name, value in names.items():
        text = text.replace(name, value)
    config = prepare_config(yaml.safe_load(text))
    config = AWSNodeProvider.fillout_available_node_types_resources(config)
    validate_config(config)
    ready: dict[str, Any] = bootstrap_aws(config)
    return ready


def launched(config: dict[str, Any], kind: str) -> dict[str, Any]:
    """Launch a machine of some kind as Ray does, and return what EC2 says of it."""
    provider = AWSNodeProvider(config["provider"], config["cluster_name"])
    tags = {TAG_RAY_NODE_KIND: "worker", TAG_RAY_NODE_NAME: kind}
    node_config = config["available_node_types"][kind]["node_config"]
    (name,) = provider.create_node(node_config, tags, 1)
    ec2 = boto3.client("ec2", region_name=REGION)
    described = ec2.describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"][0]
    provider.terminate_node(name)
    found: dict[str, Any] = described
    return found


def ray_commands(line: str) -> list[list[str]]:
    """Return the words after each ``ray`` of a line of shell."""
    parts = [shlex.split(part) for part in re.split(r"&&|;", line)]
    return [words[1:] for words in parts if words[:1] == ["ray"]]


@pytest.mark.parametrize(("name", "option"), [*((name, "") for name in CLUSTER_FILES), *OPTIONS])
def test_a_cluster_file_fits_ray_s_schema(name: str, option: str) -> None:
    config = prepare_config(read_cluster(name, option))
    validate_config(config)
    kinds = config["available_node_types"]
    assert kinds["head"]["resources"] == {"CPU": 0}
    assert kinds["head"]["max_workers"] == 0
    workers = {kind: each for kind, each in kinds.items() if kind != "head"}
    assert all(each["min_workers"] == 0 < each["max_workers"] for each in workers.values())


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_an_option_is_switched_on_by_the_command_in_the_file(name: str, option: str) -> None:
    assert read_cluster(name, option) != read_cluster(name)
    text = switched_on((ROOT / name).read_text(), option)
    assert f"#{option} " not in text


@pytest.mark.parametrize("name", CLUSTER_FILES)
def test_the_image_has_the_tested_ray_and_python(name: str) -> None:
    pins = (ROOT / "constraints.txt").read_text()
    (version,) = re.findall(r"^ray==(\S+)$", pins, re.MULTILINE)
    image = read_cluster(name)["docker"]["image"]
    assert re.fullmatch(rf"rayproject/ray:{re.escape(version)}-py311-cu12\d", image)


@pytest.mark.parametrize("name", CLUSTER_FILES)
def test_every_process_of_the_container_asks_for_the_token_that_is_mounted(name: str) -> None:
    config = read_cluster(name)
    assert "--env=RAY_AUTH_MODE=token" in config["docker"]["run_options"]
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


def test_other_clouds_set_up_and_start_as_aws_does() -> None:
    ours, other = (read_cluster(name) for name in CLUSTER_FILES)
    for commands in ("setup_commands", "head_start_ray_commands", "worker_start_ray_commands"):
        assert ours[commands] == other[commands]
    own = {"/opt/dlami/nvme/cache": "/mnt/cache"}
    here = [
        own.get(word, word) for line in ours["initialization_commands"] for word in line.split()
    ]
    there = [word for line in other["initialization_commands"][1:] for word in line.split()]
    assert here == there


@pytest.mark.parametrize("name", CLUSTER_FILES)
def test_every_command_is_one_that_a_shell_and_ray_understand(name: str) -> None:
    config = read_cluster(name)
    lines = [line for key, value in config.items() if key.endswith("_commands") for line in value]
    for line in lines:
        subprocess.run(["bash", "-nc", line], check=True)
    started = [words for line in lines for words in ray_commands(line)]
    assert [words[0] for words in started] == ["stop", "start", "stop", "start"]
    for verb, *options in started:
        command = cli.commands[verb]
        assert command.make_context(verb, options)


def test_the_setup_commands_install_the_checkout_with_its_head(tmp_path: Path) -> None:
    config = read_cluster("cluster.yaml")
    home = python_with_libraries(tmp_path)
    copy_checkout(tmp_path / "customdiffusion")
    for line in config["setup_commands"] + config["head_setup_commands"]:
        subprocess.run(["bash", "-ec", line], env=home, cwd="/", check=True, timeout=300)
    found = subprocess.run(
        ["python", "-c", "import rayjobs; print(rayjobs.__file__)"],
        env=home,
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()).parent == tmp_path / "customdiffusion" / "rayjobs"


@pytest.mark.parametrize("option", AWS)
def test_ec2_launches_both_a100_machines_with_the_profile_and_the_image(
    option: str, account: dict[str, str]
) -> None:
    config = bootstrapped(option, account)
    for kind, instance_type in {"head": "m7i.2xlarge", **GPU_MACHINES}.items():
        machine = launched(config, kind)
        assert machine["InstanceType"] == instance_type
        role = "head" if kind == "head" else "worker"
        assert machine["IamInstanceProfile"]["Arn"].endswith(f"/customdiffusion-{role}")
        assert machine["ImageId"].startswith("resolve:ssm:/aws/service/deeplearning/ami/x86_64/")
        is_spot = machine.get("InstanceLifecycle") == "spot"
        assert is_spot == (option == "spot" and kind != "head")


def test_a100s_are_counted_by_ec2_and_the_head_has_nothing_to_give(
    account: dict[str, str],
) -> None:
    kinds = bootstrapped("", account)["available_node_types"]
    assert kinds["head"]["resources"] == {"CPU": 0}
    for kind in GPU_MACHINES:
        resources = kinds[kind]["resources"]
        assert (resources["GPU"], resources["accelerator_type:A100"]) == (8, 1)
        assert resources["CPU"] == 96


def test_with_efa_a_machine_has_four_cards_in_one_group_and_subnet(account: dict[str, str]) -> None:
    config = bootstrapped("efa", account)
    kinds = config["available_node_types"]
    for kind in GPU_MACHINES:
        cards = kinds[kind]["node_config"]["NetworkInterfaces"]
        assert [card["NetworkCardIndex"] for card in cards] == [0, 1, 2, 3]
        assert [card["DeviceIndex"] for card in cards] == [0, 1, 1, 1]
        assert {card["InterfaceType"] for card in cards} == {"efa"}
        # A machine of several cards has no public address.
        assert {card["SubnetId"] for card in cards} == {account["PRIVATE_SUBNET"]}
    assert kinds["head"]["node_config"]["SubnetIds"] == [account["PUBLIC_SUBNET"]]
    assert config["provider"]["use_external_head_ip"]


def test_the_security_group_lets_in_ssh_and_its_own_machines_only(account: dict[str, str]) -> None:
    kinds = bootstrapped("", account)["available_node_types"]
    groups = {name for kind in kinds.values() for name in kind["node_config"]["SecurityGroupIds"]}
    (name,) = groups
    ec2 = boto3.client("ec2", region_name=REGION)
    rules = ec2.describe_security_groups(GroupIds=[name])["SecurityGroups"][0]["IpPermissions"]
    from_outside = {(rule["IpProtocol"], rule["FromPort"]) for rule in rules if rule["IpRanges"]}
    assert from_outside == {("tcp", 22)}
    from_inside = [rule for rule in rules if rule["UserIdGroupPairs"]]
    assert {pair["GroupId"] for rule in from_inside for pair in rule["UserIdGroupPairs"]} == {name}


def test_the_head_s_policy_allows_every_call_that_the_autoscaler_makes(
    account: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = bootstrapped("", account)
    called: set[str] = set()
    plain = botocore.client.BaseClient._make_api_call

    def noted(client: Any, operation: str, settings: Any) -> Any:
        called.add(f"{client.meta.service_model.endpoint_prefix}:{operation}")
        return plain(client, operation, settings)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", noted)
    launched(config, "p4d")
    provider = AWSNodeProvider(config["provider"], config["cluster_name"])
    tags = {TAG_RAY_NODE_KIND: "worker", TAG_RAY_NODE_NAME: "p4d"}
    node_config = config["available_node_types"]["p4d"]["node_config"]
    (name,) = provider.create_node(node_config, tags, 1)
    provider.non_terminated_nodes({})
    provider.set_node_tags(name, {"status": "ready"})
    provider.internal_ip(name)
    provider.terminate_nodes([name])
    policy = json.loads((ROOT / "deploy" / "aws" / "head-policy.json").read_text())
    allowed = {action for rule in policy["Statement"] for action in rule["Action"]}
    assert {"ec2:RunInstances", "ec2:TerminateInstances"} <= called
    assert not {each for each in called if not any(fnmatch.fnmatch(each, it) for it in allowed)}
    # What EC2 does in the caller's name, which no call shows.
    assert {"iam:PassRole", "ssm:GetParameters"} <= allowed


@pytest.mark.parametrize(("missing", "chosen"), [("", "p4d"), ("p4d", "p4de")])
def test_the_autoscaler_starts_80_gb_machines_where_ec2_has_no_others(
    account: dict[str, str], missing: str, chosen: str
) -> None:
    config = bootstrapped("", account)
    config.pop("head_node")
    read = AutoscalingConfig(config, skip_content_hash=True)
    asked = ResourceRequestUtil.group_by_count([ResourceRequestUtil.make({"GPU": 1})] * 8)
    reply = ResourceDemandScheduler(None).schedule(
        SchedulingRequest(
            disable_launch_config_check=True,
            node_type_configs=read.get_node_type_configs(),
            max_num_nodes=read.get_max_num_nodes(),
            resource_requests=asked,
            recoverable_resource_availabilities={missing: 0.0} if missing else {},
        )
    )
    assert {launch.instance_type: launch.count for launch in reply.to_launch} == {chosen: 1}
