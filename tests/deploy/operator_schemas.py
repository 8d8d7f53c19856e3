"""What a manifest may say: JSON schemas of Kubernetes' own kinds and of the operators' kinds.

Pods and whatever else is Kubernetes' own are checked by Kubernetes' schemas, of which
``kubernetes.schema.json`` keeps those that a manifest reaches. The fields of KubeRay 1.7 and of
the Prometheus operator are stated here, as far as manifests of this project could want them;
everything else is refused, since Kubernetes drops silently what it does not know. With
``OPERATOR_CRDS`` set to a folder of the operators' own custom resource definitions, `own_schema`
reads those instead.
"""

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

__all__ = [
    "STATED_KINDS",
    "VARIABLE",
    "errors",
    "folder_of_definitions",
    "own_schema",
    "stated_schema",
]

VARIABLE = "OPERATOR_CRDS"
Schema = dict[str, Any]

_DEFINITIONS = "https://kubernetes.io/"

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}


def _fields(*required: str, **allowed: Schema) -> Schema:
    return {
        "type": "object",
        "properties": allowed,
        "required": [*required],
        "additionalProperties": False,
    }


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _one_of(*values: str) -> Schema:
    return {"enum": [*values]}


def _kubernetes(name: str) -> Schema:
    """Refer to a definition of Kubernetes, such as ``core.v1.PodTemplateSpec``."""
    return {"$ref": f"{_DEFINITIONS}#/$defs/io.k8s.{name}"}


_POD = _kubernetes("api.core.v1.PodTemplateSpec")
_SELECTOR = _kubernetes("apimachinery.pkg.apis.meta.v1.LabelSelector")
_CREDENTIAL = _fields(value=TEXT, valueFrom=_kubernetes("api.core.v1.EnvVarSource"))
_CLUSTER = _fields(
    "headGroupSpec",
    rayVersion=TEXT,
    authOptions=_fields(mode=_one_of("token", "disabled"), secretName=TEXT),
    enableInTreeAutoscaling=FLAG,
    autoscalerOptions=_fields(
        version=_one_of("v1", "v2"),
        idleTimeoutSeconds=COUNT,
        upscalingMode=_one_of("Default", "Aggressive", "Conservative"),
        resources=_kubernetes("api.core.v1.ResourceRequirements"),
        env=_list(_kubernetes("api.core.v1.EnvVar")),
    ),
    gcsFaultToleranceOptions=_fields(
        backend=_one_of("redis", "rocksdb"),
        redisAddress=TEXT,
        redisUsername=_CREDENTIAL,
        redisPassword=_CREDENTIAL,
        externalStorageNamespace=TEXT,
    ),
    headGroupSpec=_fields(
        "template", rayStartParams=TEXTS, resources=TEXTS, labels=TEXTS, template=_POD
    ),
    workerGroupSpecs=_list(
        _fields(
            *("groupName", "minReplicas", "maxReplicas", "template"),
            groupName=TEXT,
            replicas=COUNT,
            minReplicas=COUNT,
            maxReplicas=COUNT,
            idleTimeoutSeconds=COUNT,
            priority=COUNT,
            numOfHosts=COUNT,
            rayStartParams=TEXTS,
            resources=TEXTS,
            labels=TEXTS,
            template=_POD,
        )
    ),
)
_JOB = _fields(
    entrypoint=TEXT,
    runtimeEnvYAML=TEXT,
    metadata=TEXTS,
    submissionMode=_one_of("K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode"),
    submitterPodTemplate=_POD,
    backoffLimit=COUNT,
    activeDeadlineSeconds=COUNT,
    preRunningDeadlineSeconds={"type": "integer", "minimum": 1},
    shutdownAfterJobFinishes=FLAG,
    ttlSecondsAfterFinished=COUNT,
    suspend=FLAG,
    clusterSelector=TEXTS,
    rayClusterSpec=_CLUSTER,
)
_SERVICE = _fields(
    "rayClusterConfig",
    serveConfigV2=TEXT,
    rayClusterConfig=_CLUSTER,
    upgradeStrategy=_fields(
        type=_one_of("NewCluster", "NewClusterWithIncrementalUpgrade", "None"),
        clusterUpgradeOptions=_fields(
            *("gatewayClassName", "stepSizePercent", "intervalSeconds"),
            gatewayClassName=TEXT,
            maxSurgePercent=COUNT,
            stepSizePercent=COUNT,
            intervalSeconds=COUNT,
        ),
    ),
    excludeHeadPodFromServeSvc=FLAG,
    rayClusterDeletionDelaySeconds=COUNT,
    serveService=_kubernetes("api.core.v1.Service"),
    suspend=FLAG,
)
_RELABELING = _fields(
    sourceLabels=_list(TEXT), targetLabel=TEXT, regex=TEXT, replacement=TEXT, separator=TEXT
)
_POD_MONITOR = _fields(
    *("selector", "podMetricsEndpoints"),
    selector=_SELECTOR,
    namespaceSelector=_fields(any=FLAG, matchNames=_list(TEXT)),
    jobLabel=TEXT,
    podTargetLabels=_list(TEXT),
    podMetricsEndpoints=_list(
        _fields(
            port=TEXT, path=TEXT, interval=TEXT, scrapeTimeout=TEXT, relabelings=_list(_RELABELING)
        )
    ),
)
_SPECS = {
    "RayCluster": ("ray.io/v1", _CLUSTER),
    "RayJob": ("ray.io/v1", _JOB),
    "RayService": ("ray.io/v1", _SERVICE),
    "PodMonitor": ("monitoring.coreos.com/v1", _POD_MONITOR),
}
STATED_KINDS = tuple(_SPECS)


def stated_schema(manifest: Mapping[str, Any]) -> Schema:
    """Return the schema of a manifest's kind, as this file states it or Kubernetes does.

    Of a kind that nothing is known of, the schema refers to nothing, which `errors` refuses.
    """
    kind = manifest["kind"]
    if kind in _SPECS:
        version, spec = _SPECS[kind]
        return _fields(
            *("apiVersion", "kind", "metadata", "spec"),
            apiVersion={"const": version},
            kind={"const": kind},
            metadata=_kubernetes("apimachinery.pkg.apis.meta.v1.ObjectMeta"),
            spec=spec,
        )
    version = manifest["apiVersion"].replace("/", ".")
    group = version if "." in version else f"core.{version}"
    return {"allOf": [_kubernetes(f"api.{group}.{kind}")], "required": ["apiVersion", "kind"]}


def own_schema(kind: str, folder: Path) -> Schema | None:
    """Return the schema of a kind from the definitions in a folder; unknown fields are refused."""
    for path in sorted(folder.glob("*.yaml")):
        definition = _definition(path)
        if definition["spec"]["names"]["kind"] == kind:
            (version,) = (one for one in definition["spec"]["versions"] if one["storage"])
            schema: Schema = _closed(version["schema"]["openAPIV3Schema"])
            return schema
    return None


def errors(manifest: Mapping[str, Any], schema: Schema) -> list[str]:
    """Return what a schema has against a manifest, each with its place."""
    validator = Draft202012Validator(schema, registry=_registry())
    return [
        f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(manifest)
    ]


def folder_of_definitions() -> Path | None:
    """Return the folder that `VARIABLE` names."""
    return Path(os.environ[VARIABLE]) if VARIABLE in os.environ else None


def _closed(schema: Any) -> Any:
    """Refuse what Kubernetes would drop: fields that a structural schema does not list."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


@cache
def _definition(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)


@cache
def _registry() -> Any:
    text = Path(__file__).with_name("kubernetes.schema.json").read_text(encoding="utf-8")
    resource: Any = Resource.from_contents(json.loads(text))
    return Registry().with_resource(_DEFINITIONS, resource)
