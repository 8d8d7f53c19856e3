"""The manifests of deploy/kubernetes: what their operators accept, and what holds for all of them.

Nothing here runs on Kubernetes.
"""

import ast
import copy
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from cdcore.command_line.parser import parse
from rayjobs.config.training import FIELD_GROUPS, STAND_INS, TrainJob
from serve.settings import ServiceSettings
from tests.cluster_document import commands
from tests.deploy.operator_schemas import (
    STATED_KINDS,
    VARIABLE,
    errors,
    folder_of_definitions,
    own_schema,
    stated_schema,
)

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
PINS = {
    pin.name: str(pin.specifier).removeprefix("==")
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
    for pin in [Requirement(line)]
}
MANIFESTS = {
    f"{path.stem}-{manifest['kind']}": manifest
    for path in sorted(FOLDER.glob("*.yaml"))
    for manifest in yaml.safe_load_all(path.read_text(encoding="utf-8"))
}
CLUSTERS = {
    "raycluster": MANIFESTS["raycluster-RayCluster"]["spec"],
    "rayjob": MANIFESTS["rayjob-RayJob"]["spec"]["rayClusterSpec"],
    "rayservice": MANIFESTS["rayservice-RayService"]["spec"]["rayClusterConfig"],
}
SERVED = yaml.safe_load(MANIFESTS["rayservice-RayService"]["spec"]["serveConfigV2"])

of_each_manifest = pytest.mark.parametrize("name", MANIFESTS)
of_each_cluster = pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS)


def everything(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value of a manifest, and the names that lead to it."""
    yield path, node
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from everything(value, (*path, key))
    elif isinstance(node, list):
        for value in node:
            yield from everything(value, path)


def closed_mappings(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every mapping of a manifest whose keys its operator chooses."""
    free = {"labels", "matchLabels", "rayStartParams", "requests", "limits"}
    free |= {"selector"} if manifest["kind"] == "Service" else set()
    return [
        value
        for path, value in everything(manifest)
        if isinstance(value, dict) and not free & {*path[-1:]}
    ]


def own_or_skip(kind: str) -> dict[str, Any]:
    folder = folder_of_definitions()
    if folder is None:
        pytest.skip(f"{VARIABLE} names no folder of custom resource definitions")
    schema = own_schema(kind, folder)
    if schema is None:
        pytest.skip("the folder does not define that kind")
    return schema


def side_by_side(
    stated: Mapping[str, Any], own: Mapping[str, Any], place: str
) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Both schemas of every mapping that is stated here."""
    if "items" in stated:
        yield from side_by_side(stated["items"], own["items"], place)
    if "properties" in stated or "enum" in stated:
        yield place, stated, own
    for name, field in stated.get("properties", {}).items():
        yield from side_by_side(field, own["properties"].get(name, {}), f"{place}.{name}")


def groups(cluster: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def pods(node: Any) -> list[Mapping[str, Any]]:
    return [
        value
        for _, value in everything(node)
        if isinstance(value, Mapping)
        if "containers" in value
    ]


def containers(node: Any) -> list[Mapping[str, Any]]:
    return [container for pod in pods(node) for container in pod["containers"]]


@of_each_manifest
def test_the_schemas_accept_a_manifest(name: str) -> None:
    assert errors(MANIFESTS[name], stated_schema(MANIFESTS[name])) == []


@of_each_manifest
def test_the_operators_own_definitions_accept_a_manifest(name: str) -> None:
    schema = own_or_skip(MANIFESTS[name]["kind"])
    assert errors(MANIFESTS[name], schema) == []
    assert errors(MANIFESTS[name] | {"spec": MANIFESTS[name]["spec"] | {"noSuchField": 1}}, schema)


@pytest.mark.parametrize("kind", STATED_KINDS)
def test_every_field_that_is_stated_is_one_of_the_operator_s(kind: str) -> None:
    own = own_or_skip(kind)["properties"]["spec"]
    stated = stated_schema({"kind": kind})["properties"]["spec"]
    for place, mine, theirs in side_by_side(stated, own, kind):
        assert not set(mine.get("properties", {})) - set(theirs.get("properties", {})), place
        assert not set(theirs.get("required", [])) - set(mine.get("required", [])), place
        assert not set(mine.get("enum", [])) - set(theirs.get("enum", mine.get("enum", []))), place


@of_each_manifest
def test_the_schemas_refuse_a_field_that_is_misspelt(name: str) -> None:
    for index in range(len(closed_mappings(MANIFESTS[name]))):
        wrong = copy.deepcopy(MANIFESTS[name])
        closed_mappings(wrong)[index]["noSuchField"] = "x"
        assert errors(wrong, stated_schema(wrong)), closed_mappings(wrong)[index]


@of_each_cluster
def test_image_and_version_are_of_the_pinned_ray(cluster: Mapping[str, Any]) -> None:
    assert cluster["rayVersion"] == PINS["ray"]
    for container in containers(cluster):
        assert container["image"].endswith(f"-ray{PINS['ray']}")


def test_all_clusters_have_the_image_that_the_documents_build() -> None:
    images = {
        container["image"] for cluster in CLUSTERS.values() for container in containers(cluster)
    }
    (image,) = images
    for document in ("deploy/kubernetes/README.md", "deploy/docker/Dockerfile"):
        assert f"-t {image} ." in (ROOT / document).read_text(encoding="utf-8")


@of_each_cluster
def test_the_head_takes_no_work_and_asks_for_a_token(cluster: Mapping[str, Any]) -> None:
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    assert cluster["authOptions"]["mode"] == "token"
    # One that KubeRay makes up itself would differ from cluster to cluster.
    assert cluster["authOptions"]["secretName"]


@of_each_manifest
def test_no_secret_is_written_down(name: str) -> None:
    manifest = MANIFESTS[name]
    assert manifest["kind"] != "Secret"
    for path, value in everything(manifest):
        if isinstance(value, Mapping) and re.search(
            "(?i)password|token|key", str(value.get("name"))
        ):
            assert "value" not in value, path
        if path and re.search("(?i)password$", path[-1]):
            assert set(value) == {"valueFrom"}


def test_the_readme_makes_every_secret_and_volume_that_is_asked_for() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    made = set(re.findall(r"create secret generic (\S+)", text))
    asked, claims = set(), set()
    for manifest in MANIFESTS.values():
        for path, value in everything(manifest):
            if path[-1:] == ("secretName",):
                asked.add(value)
            if path[-1:] == ("secretKeyRef",):
                asked.add(value["name"])
                assert f"{value['name']} --from-literal={value['key']}=" in text
            if path[-1:] == ("claimName",):
                claims.add(value)
    assert asked == made
    assert claims == {MANIFESTS["storage-PersistentVolumeClaim"]["metadata"]["name"]}


def test_the_token_has_the_key_that_kuberay_reads() -> None:
    secret = CLUSTERS["raycluster"]["authOptions"]["secretName"]
    assert f"{secret} --from-literal=auth_token=" in (FOLDER / "README.md").read_text()


@of_each_manifest
def test_every_container_has_what_it_asks_for_and_no_root(name: str) -> None:
    for pod in pods(MANIFESTS[name]):
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] > 0
        for container in pod["containers"]:
            assert container["resources"]["requests"] == container["resources"]["limits"]
            assert container["securityContext"]["allowPrivilegeEscalation"] is False


@of_each_cluster
def test_workers_have_a_gpu_each_and_the_head_has_none(cluster: Mapping[str, Any]) -> None:
    (head,), *workers = (containers(group) for group in groups(cluster))
    assert "nvidia.com/gpu" not in head["resources"]["limits"]
    assert [one["resources"]["limits"]["nvidia.com/gpu"] for (one,) in workers] == [1]


def test_a_team_s_cluster_has_no_gpu_until_a_job_asks_for_one() -> None:
    (group,) = CLUSTERS["raycluster"]["workerGroupSpecs"]
    assert CLUSTERS["raycluster"]["enableInTreeAutoscaling"]
    assert group["minReplicas"] == 0
    submitted = re.findall(r"ray job submit .*", (FOLDER / "README.md").read_text(encoding="utf-8"))
    assert submitted
    assert all("--gpus" in line.split() for line in submitted)


@of_each_cluster
def test_results_lie_on_the_volume_of_all_pods(cluster: Mapping[str, Any]) -> None:
    for container in containers(cluster):
        (mount,) = (one for one in container["volumeMounts"] if one["name"] == "shared")
        env = {one["name"]: one["value"] for one in container["env"]}
        assert env["CUSTOMDIFFUSION_ROOT"] == mount["mountPath"] == "/shared"


@of_each_cluster
def test_the_operator_s_further_rules_are_kept(cluster: Mapping[str, Any]) -> None:
    # KubeRay refuses these after the schema has accepted them.
    scales = cluster.get("enableInTreeAutoscaling", False)
    for group in cluster["workerGroupSpecs"]:
        assert (
            group["minReplicas"]
            <= group.get("replicas", group["minReplicas"])
            <= group["maxReplicas"]
        )
        assert scales or "replicas" in group
    for pod in pods(cluster):
        assert "restartPolicy" not in pod
    assert all("resources" not in group for group in groups(cluster))


def test_names_leave_room_for_what_the_operator_adds() -> None:
    for manifest in MANIFESTS.values():
        assert re.fullmatch("[a-z]([-a-z0-9]{0,45}[a-z0-9])?", manifest["metadata"]["name"])


def test_everything_has_room_beside_everything_else() -> None:
    # KubeRay names the services of a cluster and of a RayService by the same rule.
    ray = [one["metadata"]["name"] for one in MANIFESTS.values() if one["kind"].startswith("Ray")]
    assert len(set(ray)) == len(ray)
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for kind, suffixes in (("RayCluster", ["head-svc"]), ("RayService", ["serve-svc", "gateway"])):
        (name,) = (one["metadata"]["name"] for one in MANIFESTS.values() if one["kind"] == kind)
        assert all(f"{name}-{suffix}" in text for suffix in suffixes)


def test_what_lasts_survives_its_head() -> None:
    redis = MANIFESTS["redis-Service"]
    for name in ("raycluster", "rayservice"):
        options = CLUSTERS[name]["gcsFaultToleranceOptions"]
        port = redis["spec"]["ports"][0]["port"]
        assert options["redisAddress"] == f"{redis['metadata']['name']}:{port}"
        assert (
            options["redisPassword"]["valueFrom"]["secretKeyRef"]["name"] == "customdiffusion-redis"
        )
    # The job's cluster is as mortal as its driver: another try goes on.
    assert "gcsFaultToleranceOptions" not in CLUSTERS["rayjob"]
    assert MANIFESTS["rayjob-RayJob"]["spec"]["backoffLimit"] > 0


def test_the_job_runs_the_documented_command_with_flags_that_exist() -> None:
    spec = MANIFESTS["rayjob-RayJob"]["spec"]
    program, script, *flags = shlex.split(spec["entrypoint"])
    assert [program, script] == ["python", "rayjobs/train.py"]
    assert f"-- {program} {script}" in (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8")
    whole = [*flags, "--images", "photos", "--class-noun", "cat", "--name", "mycat"]
    job = parse(
        TrainJob, whole, prog="train.py", description="", groups=FIELD_GROUPS, stand_ins=STAND_INS
    )
    assert str(job.output).startswith("/shared/")
    assert str(job.registry).startswith("/shared/")
    assert [job.workers] == [group["replicas"] for group in CLUSTERS["rayjob"]["workerGroupSpecs"]]


def test_what_the_job_publishes_the_service_serves() -> None:
    (application,) = SERVED["applications"]
    flags = shlex.split(MANIFESTS["rayjob-RayJob"]["spec"]["entrypoint"])
    assert application["args"]["registry"] == flags[flags.index("--registry") + 1]


def test_the_service_is_the_application_of_this_project() -> None:
    from ray.serve.schema import ServeDeploySchema

    assert ServeDeploySchema.model_validate(SERVED)
    (application,) = SERVED["applications"]
    module, _, function = application["import_path"].partition(":")
    body = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")).body
    assert function in {node.name for node in body if isinstance(node, ast.FunctionDef)}
    settings = ServiceSettings.model_validate(application["args"])
    ports = {
        port["containerPort"] for one in containers(CLUSTERS["rayservice"]) for port in one["ports"]
    }
    assert SERVED["http_options"]["port"] in ports
    # Others reach it, so it needs keys, where every pod finds them.
    assert SERVED["http_options"]["host"] == "0.0.0.0"
    assert settings.keys is not None
    for container in containers(CLUSTERS["rayservice"]):
        (mount,) = (one for one in container["volumeMounts"] if one["name"] == "keys")
        assert Path(settings.keys).parent == Path(mount["mountPath"])


def test_the_service_s_engines_fit_its_workers_and_end_in_peace() -> None:
    (application,) = SERVED["applications"]
    settings = ServiceSettings.model_validate(application["args"])
    (group,) = CLUSTERS["rayservice"]["workerGroupSpecs"]
    (worker,) = containers(group)
    limits = worker["resources"]["limits"]
    assert settings.gpus == limits["nvidia.com/gpu"]
    assert settings.cpus <= limits["cpu"]
    assert group["minReplicas"] >= settings.min_replicas >= 2
    assert group["maxReplicas"] >= settings.max_replicas
    env = {one["name"]: one["value"] for one in worker["env"]}
    drains = float(env["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
    (pod,) = pods(group)
    assert settings.drain_s < drains < pod["terminationGracePeriodSeconds"]


def test_the_service_is_upgraded_step_by_step() -> None:
    spec = MANIFESTS["rayservice-RayService"]["spec"]
    assert spec["upgradeStrategy"]["type"] == "NewClusterWithIncrementalUpgrade"
    options = spec["upgradeStrategy"]["clusterUpgradeOptions"]
    assert 0 < options["stepSizePercent"] <= options["maxSurgePercent"] <= 100
    assert CLUSTERS["rayservice"]["enableInTreeAutoscaling"]
    assert spec["excludeHeadPodFromServeSvc"]


def test_every_port_that_prometheus_reads_is_one_of_the_pods() -> None:
    spec = MANIFESTS["podmonitor-PodMonitor"]["spec"]
    wanted = {endpoint["port"] for endpoint in spec["podMetricsEndpoints"]}
    for cluster in CLUSTERS.values():
        (head,), *workers = (containers(group) for group in groups(cluster))
        assert wanted <= {port["name"] for port in head["ports"]}
        for (worker,) in workers:
            assert "metrics" in {port["name"] for port in worker["ports"]}


def test_the_page_of_all_clusters_has_no_command_that_the_readme_lacks() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    asked = commands("Kubernetes")
    assert asked
    assert set(asked) <= {line.strip() for line in text.splitlines()}


def test_the_readme_applies_files_that_exist() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    applied = set(re.findall(r"deploy/kubernetes/([\w-]+\.yaml)", text))
    assert applied == {path.name for path in FOLDER.glob("*.yaml")}
