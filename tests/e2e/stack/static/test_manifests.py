"""The stack's manifests, as kustomize builds them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.e2e.api_server.installation.manifests import built
from tests.e2e.node.guides.commands import DOCS
from tests.e2e.stack.overlay import SHARED
from tests.e2e.stack.static import manifests
from tests.e2e.stack.static.manifests import BUILDS, OVERLAYS
from validator.policy.document import ModelValidation
from webhook.admission.injected.quantities import value

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.api_server.control_plane import Document

SECRETS = {
    "huggingface": {"token"},
    "open-webui": {"admin-email", "admin-password", "secret-key"},
    "tavily": {"api-key"},
}
GPUS = {
    "gpu-amd": ("vllm-openai-rocm", {"amd.com/gpu": "1"}),
    "gpu-intel": ("vllm-openai-xpu", {"gpu.intel.com/xe": "1"}),
    "gpu-intel-i915": ("vllm-openai-xpu", {"gpu.intel.com/i915": "1"}),
    "gpu-nvidia": ("vllm-openai", {"nvidia.com/gpu": "1"}),
}
YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("programs")]


@pytest.fixture(params=BUILDS, ids="+".join)
def documents(request: pytest.FixtureRequest) -> list[Document]:
    """Return the objects of each overlay, alone and with each component that can be added."""
    return manifests.build(*request.param)


def deployment(documents: list[Document], name: str) -> dict[str, Any]:
    """Return the specification of a Deployment."""
    spec: dict[str, Any] = manifests.named(documents, "Deployment", name)["spec"]
    return spec


def container(documents: list[Document], name: str) -> dict[str, Any]:
    """Return the one container of a Deployment."""
    (found,) = deployment(documents, name)["template"]["spec"]["containers"]
    assert found["name"] == name
    return dict(found)


def environment(documents: list[Document], name: str) -> dict[str, Any]:
    """Return the variables of a Deployment's container: a text, or where it is taken from."""
    return {
        each["name"]: each.get("value", each.get("valueFrom"))
        for each in container(documents, name)["env"]
    }


def test_each_container_is_limited(documents: list[Document]) -> None:
    """CPU and memory are asked for and bounded, and so is each empty volume."""
    for each in manifests.containers(documents):
        for kind in ("requests", "limits"):
            assert {"cpu", "memory"} <= each["resources"][kind].keys(), each["name"]
    for pod in manifests.pods(documents):
        for volume in pod["spec"].get("volumes", ()):
            assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"], volume


def test_each_container_is_restricted(documents: list[Document]) -> None:
    """No root, nothing written into the image, no capability, no token: there is no exception."""
    for pod in manifests.pods(documents):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for each in spec["containers"]:
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_no_pod_gets_the_addresses_of_services_as_variables(documents: list[Document]) -> None:
    """Those of the Service `vllm` would set VLLM_PORT, which vLLM takes for its own."""
    assert all(pod["spec"]["enableServiceLinks"] is False for pod in manifests.pods(documents))


def test_images_are_named_by_a_tag_that_stays(documents: list[Document]) -> None:
    """Each has one, set by a kustomization, and none is a moving one."""
    for each in manifests.containers(documents):
        repository, tag, digest = parts(each["image"])
        assert re.fullmatch(r"v?\d+\.\d+\.\d+(-debug)?", tag), each["image"]
        assert re.fullmatch(r"(sha256:[0-9a-f]{64})?", digest), each["image"]
        assert repository.startswith(("docker.io/", "ghcr.io/", "model-validation/"))


def parts(image: str) -> tuple[str, str, str]:
    """Return an image's repository, its tag and its digest, which may be empty."""
    named, _, digest = image.partition("@")
    repository, _, tag = named.rpartition(":")
    return repository, tag, digest


def test_the_guide_has_the_tag_of_each_image(documents: list[Document]) -> None:
    """Its table is the one place that says which versions are shipped, and what was tried."""
    rows = [row for row in (DOCS / "stack.md").read_text().splitlines() if row.startswith("| `")]
    for each in manifests.containers(documents):
        repository, tag, digest = parts(each["image"])
        name = repository.rpartition("/")[2]
        said = any(f"{name}`" in row and f"`{tag}`" in row and digest in row for row in rows)
        assert said or repository.startswith("model-validation/"), each["image"]


def test_services_are_of_the_cluster_alone(documents: list[Document]) -> None:
    """ClusterIP, and each finds its pods and their port."""
    for service in manifests.of_kind(documents, "Service"):
        spec = service["spec"]
        if spec["type"] == "ExternalName":
            assert spec["externalName"].endswith(".svc.cluster.local")
            continue
        assert spec["type"] == "ClusterIP"
        chosen = [
            each["spec"]["template"]
            for each in manifests.of_kind(documents, "Deployment")
            if spec["selector"].items() <= each["spec"]["template"]["metadata"]["labels"].items()
        ]
        (template,) = chosen
        (served,) = template["spec"]["containers"][0]["ports"]
        (port,) = spec["ports"]
        assert (port["targetPort"], port["port"]) == (served["name"], served["containerPort"])


def test_everything_is_in_its_namespace(documents: list[Document]) -> None:
    """One namespace, and labels by which all of it is found."""
    for each in documents:
        metadata = each["metadata"]
        assert metadata.get("namespace") == (None if each["kind"] == "Namespace" else "llm")
        assert metadata["labels"]["app.kubernetes.io/part-of"] == "llm", each["kind"]


def test_secrets_that_are_needed_are_named_and_have_their_keys(documents: list[Document]) -> None:
    """Nothing refers to another one, and what is shipped has just these keys."""
    for each in manifests.containers(documents):
        for variable in each.get("env", ()):
            if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                assert reference["key"] in SECRETS[re.sub("-[a-z0-9]{10}$", "", reference["name"])]
    for secret in manifests.of_kind(documents, "Secret"):
        name = re.sub("-[a-z0-9]{10}$", "", secret["metadata"]["name"])
        assert (secret.get("data") or secret["stringData"]).keys() == SECRETS[name]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_open_webui_cannot_start_without_its_secret(overlay: str) -> None:
    """The others do without a token and without a search."""
    for each in manifests.containers(manifests.build(overlay)):
        for variable in each.get("env", ()):
            if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                needed = reference["name"].startswith("open-webui")
                assert reference.get("optional", False) is not needed


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_without_the_model_it_fits_three_cores_and_ten_gibibytes(overlay: str) -> None:
    """Llama Stack, Open WebUI and what passes metrics on, together, at most."""
    limits = [
        container["resources"]["limits"]
        for pod in manifests.pods(manifests.build(overlay))
        if pod["metadata"]["name"] != "vllm"
        for container in pod["spec"]["containers"]
    ]
    assert len(limits) >= 2
    for resource, most in (("cpu", "3"), ("memory", "10Gi")):
        assert sum(value(each[resource]) for each in limits) <= value(most)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_server_is_probed(overlay: str) -> None:
    """By HTTP on its named port; vLLM may take half an hour to load, the others five minutes."""
    documents = manifests.build(overlay)
    for name, seconds in (("vllm", 1800), ("llamastack", 300), ("open-webui", 300)):
        server = container(documents, name)
        probes = [server[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")]
        assert {probe["httpGet"]["port"] for probe in probes} == {"http"}
        startup, _, liveness = probes
        assert startup["periodSeconds"] * startup["failureThreshold"] == seconds
        assert liveness["periodSeconds"] * liveness["failureThreshold"] >= 60
    assert deployment(documents, "vllm")["progressDeadlineSeconds"] > 1800


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_part_finds_the_next(overlay: str) -> None:
    """By the Services' names and ports; search, model and token are offline where they can be."""
    documents = manifests.build(overlay)
    assert {
        (each["metadata"]["name"], each["spec"]["ports"][0]["port"])
        for each in manifests.of_kind(documents, "Service")
        if "ports" in each["spec"]
    } - {("vllm-metrics", 8001)} == {("vllm", 8000), ("llamastack", 8321), ("open-webui", 3000)}
    assert environment(documents, "llamastack")["VLLM_URL"] == "http://vllm:8000/v1"
    chat = environment(documents, "open-webui")
    assert chat["OPENAI_API_BASE_URL"] == "http://llamastack:8321/v1"
    assert (chat["PORT"], chat["ENABLE_PERSISTENT_CONFIG"]) == ("3000", "False")
    assert (chat["ENABLE_WEB_SEARCH"], chat["WEB_SEARCH_ENGINE"]) == ("True", "external")
    assert chat["EXTERNAL_WEB_SEARCH_URL"] == "http://llamastack:8321/search"
    assert environment(documents, "vllm")["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_one_pod_at_a_time_writes_the_conversations(overlay: str) -> None:
    """Its database is a file on a volume of 3 GiB."""
    documents = manifests.build(overlay)
    spec = deployment(documents, "open-webui")
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    claim = manifests.named(documents, "PersistentVolumeClaim", "open-webui")
    assert claim["spec"]["resources"]["requests"]["storage"] == "3Gi"
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "open-webui"}} in spec[
        "template"
    ]["spec"]["volumes"]
    mounts = {m["name"]: m["mountPath"] for m in container(documents, "open-webui")["volumeMounts"]}
    assert environment(documents, "open-webui")["DATA_DIR"] == mounts["data"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_uploads_do_not_fill_the_volume_of_the_database(overlay: str) -> None:
    """They have a claim of their own, mounted where Open WebUI puts them."""
    documents = manifests.build(overlay)
    pod = deployment(documents, "open-webui")["template"]["spec"]
    claims = {
        each["name"]: each["persistentVolumeClaim"]["claimName"]
        for each in pod["volumes"]
        if "persistentVolumeClaim" in each
    }
    assert claims == {"data": "open-webui", "uploads": "open-webui-uploads"}
    assert {each["metadata"]["name"] for each in claims_of(documents)} >= set(claims.values())
    mounts = {m["name"]: m["mountPath"] for m in container(documents, "open-webui")["volumeMounts"]}
    assert mounts["uploads"] == f"{environment(documents, 'open-webui')['DATA_DIR']}/uploads"


def test_no_rollout_waits_for_a_volume_that_the_old_pod_holds(documents: list[Document]) -> None:
    """A volume of one node: one pod at a time, or the new pod goes to the old one's node."""
    single = {
        each["metadata"]["name"]
        for each in claims_of(documents)
        if each["spec"]["accessModes"] == ["ReadWriteOnce"]
    }
    for each in manifests.of_kind(documents, "Deployment"):
        spec = each["spec"]
        pod = spec["template"]["spec"]
        held = {
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod.get("volumes", ())
            if "persistentVolumeClaim" in volume
        }
        if held & single and not one_at_a_time(spec):
            assert goes_to_its_own_node(spec), each["metadata"]["name"]


def claims_of(documents: list[Document]) -> list[Document]:
    """Return the claims."""
    return manifests.of_kind(documents, "PersistentVolumeClaim")


def one_at_a_time(spec: dict[str, Any]) -> bool:
    """Return whether a rollout ends the old pod before it makes the new one."""
    strategy = spec.get("strategy", {})
    surge = strategy.get("rollingUpdate", {}).get("maxSurge")
    return bool(strategy.get("type") == "Recreate" or surge == 0)


def goes_to_its_own_node(spec: dict[str, Any]) -> bool:
    """Return whether a pod must go to a node that has another one of its Deployment."""
    affinity = spec["template"]["spec"].get("affinity", {}).get("podAffinity", {})
    term = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": spec["selector"]["matchLabels"]},
    }
    return term in affinity.get("requiredDuringSchedulingIgnoredDuringExecution", ())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_volumes_are_of_the_fast_storage_but_on_a_laptop(overlay: str) -> None:
    """`dev` takes the cluster's default."""
    claims = manifests.of_kind(manifests.build(overlay), "PersistentVolumeClaim")
    found = {each["spec"].get("storageClassName") for each in claims}
    assert found == {None if overlay == "dev" else "openebs-cache"}
    models = manifests.named(claims, "PersistentVolumeClaim", "vllm-models")
    size = {"dev": "15Gi", "llama-70b": "300Gi"}.get(overlay, "100Gi")
    assert models["spec"]["resources"]["requests"]["storage"] == size


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_llama_stack_mounts_the_configuration_of_this_content(overlay: str) -> None:
    """The ConfigMap's name has the content's hash; its files lie where they are looked for."""
    documents = manifests.build(overlay)
    (settings,) = (
        each
        for each in manifests.of_kind(documents, "ConfigMap")
        if each["metadata"]["name"].startswith("llamastack-")
    )
    volumes = {
        v["name"]: v for v in deployment(documents, "llamastack")["template"]["spec"]["volumes"]
    }
    mounted = volumes["config"]["configMap"]
    assert mounted["name"] == settings["metadata"]["name"]
    assert {item["key"] for item in mounted["items"]} == settings["data"].keys()
    (at,) = (
        m["mountPath"]
        for m in container(documents, "llamastack")["volumeMounts"]
        if m["name"] == "config"
    )
    files = {f"{at}/{item['path']}" for item in mounted["items"]}
    variables = environment(documents, "llamastack")
    assert variables["RUN_CONFIG_PATH"] in files
    assert f"{variables['PYTHONPATH']}/llamastack_health.py" in files
    assert f"external_apis_dir: {at}/apis\n" in settings["data"]["config.yaml"]


@pytest.mark.parametrize("component", GPUS)
def test_a_gpu_is_asked_for_with_the_image_that_uses_it(component: str) -> None:
    """One of the vendor's resource, and vLLM's build for it, of the same version."""
    documents = manifests.build("granite", component)
    plain = container(manifests.build("granite"), "vllm")
    image, asked = GPUS[component]
    found = container(documents, "vllm")
    name, _, digest = found["image"].partition("@")
    assert name == plain["image"].replace("vllm-openai-cpu", image)
    assert bool(digest) == (component == "gpu-nvidia")
    limits = found["resources"]["limits"]
    assert {name: amount for name, amount in limits.items() if "/" in name} == asked
    assert found["args"] == plain["args"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_metrics_are_scraped_from_the_one_service_that_has_them(overlay: str) -> None:
    """By the labels of the Service and the name of its port."""
    documents = manifests.build(overlay)
    if not manifests.of_kind(documents, "ServiceMonitor"):
        documents = manifests.build(overlay, "service-monitor")
    (monitor,) = [each["spec"] for each in manifests.of_kind(documents, "ServiceMonitor")]
    (endpoint,) = monitor["endpoints"]
    scraped = [
        each["metadata"]["name"]
        for each in manifests.of_kind(documents, "Service")
        if monitor["selector"]["matchLabels"].items() <= each["metadata"]["labels"].items()
        and endpoint["port"] in {port["name"] for port in each["spec"].get("ports", ())}
    ]
    assert (scraped, endpoint["path"]) == (["vllm-metrics"], "/metrics")


def test_traces_of_each_part_go_to_the_collector() -> None:
    """Under a name of its own, to the one Service that names the collector, in `observability`."""
    documents = manifests.build("production")
    named = manifests.named(documents, "Service", "otel-collector")["spec"]
    assert named == {
        "type": "ExternalName",
        "externalName": "signoz-otel-collector.observability.svc.cluster.local",
    }
    assert repr(documents).count("signoz") == 1
    collector = "http://otel-collector:4317"
    assert f"--otlp-traces-endpoint={collector}" in container(documents, "vllm")["args"]
    stack, chat = (environment(documents, name) for name in ("llamastack", "open-webui"))
    assert stack["CUSTOM_OTEL_TRACE_ENDPOINT"] == collector
    # A variable sees those before it.
    names = list(stack)
    taken = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    assert names.index("CUSTOM_OTEL_TRACE_ENDPOINT") < names.index(taken)
    assert stack[taken] == "$(CUSTOM_OTEL_TRACE_ENDPOINT)"
    assert chat["OTEL_EXPORTER_OTLP_ENDPOINT"] == collector
    assert (chat["ENABLE_OTEL"], chat["ENABLE_OTEL_TRACES"]) == ("True", "True")
    found = [environment(documents, name)["OTEL_SERVICE_NAME"] for name in ("vllm", "llamastack")]
    assert [*found, chat["OTEL_SERVICE_NAME"]] == ["vllm", "llamastack", "open-webui"]


@pytest.mark.parametrize("overlay", ["example", "llama-70b", "production"])
def test_the_route_leads_to_open_webui_alone_and_streams(overlay: str) -> None:
    """Over TLS; plain requests are sent there; no answer is cut off."""
    documents = manifests.build(overlay)
    listeners = {
        each["name"]: (each["protocol"], each["port"])
        for each in manifests.named(documents, "Gateway", "llm")["spec"]["listeners"]
    }
    assert listeners == {"http": ("HTTP", 80), "https": ("HTTPS", 443)}
    route = manifests.named(documents, "HTTPRoute", "open-webui")["spec"]
    redirect = manifests.named(documents, "HTTPRoute", "open-webui-redirect")["spec"]
    assert route["parentRefs"] == [{"name": "llm", "sectionName": "https"}]
    for rule in route["rules"]:
        assert rule["backendRefs"] == [{"name": "open-webui", "port": 3000}]
        assert rule["timeouts"] == {"request": "0s"}
    assert redirect["parentRefs"] == [{"name": "llm", "sectionName": "http"}]
    (rule,) = redirect["rules"]
    assert [each["requestRedirect"]["scheme"] for each in rule["filters"]] == ["https"]
    assert "backendRefs" not in rule
    assert environment(documents, "open-webui")["WEBUI_SESSION_COOKIE_SECURE"] == "True"


def test_the_route_bounds_requests_but_no_websocket() -> None:
    """A request is no larger than an upload; each rule of the route has a rate for each client."""
    documents = manifests.build("production")
    policies = {
        (each["spec"]["targetRefs"][0]["name"], each["spec"]["targetRefs"][0]["sectionName"]): each
        for each in manifests.of_kind(documents, "BackendTrafficPolicy")
    }
    rules = manifests.named(documents, "HTTPRoute", "open-webui")["spec"]["rules"]
    assert policies.keys() == {("open-webui", rule["name"]) for rule in rules}
    for each in policies.values():
        for rule in each["spec"]["rateLimit"]["local"]["rules"]:
            (client,) = rule["clientSelectors"]
            assert client["sourceCIDR"]["type"] == "Distinct"
    assert "requestBuffer" not in policies["open-webui", "websocket"]["spec"]
    largest = value(policies["open-webui", "requests"]["spec"]["requestBuffer"]["limit"])
    upload = value(f"{environment(documents, 'open-webui')['RAG_FILE_MAX_SIZE']}Mi")
    assert upload < largest < 2 * upload


def test_the_host_name_is_in_one_place() -> None:
    """One patch sets it: the example's differs from production's there, and by its Secrets."""
    documents = manifests.build("example")
    found = [each["metadata"]["name"] for each in documents if "llm.klimlive.de" in repr(each)]
    assert found == ["open-webui", "open-webui"]  # the route, and the Deployment, by the route
    assert manifests.named(documents, "HTTPRoute", "open-webui")["spec"]["hostnames"] == [
        "llm.klimlive.de"
    ]
    assert environment(documents, "open-webui")["CORS_ALLOW_ORIGIN"] == "https://llm.klimlive.de"
    written = (manifests.STACK / "overlays" / "example" / "kustomization.yaml").read_text()
    assert written.count("klimlive") == 1
    assert not any("llm.example.com" in repr(each) for each in manifests.build("example"))


def test_what_prepares_a_model_brings_nothing_that_stays() -> None:
    """Neither namespace nor volume: deleting it again deletes no model."""
    documents = manifests.build("prepare")
    kinds = sorted(each["kind"] for each in documents)
    assert kinds == ["Job", "NetworkPolicy", "NetworkPolicy", "Pod", "ServiceAccount"]
    users = {
        pod["spec"]["securityContext"]["fsGroup"]
        for pod in manifests.pods([*documents, *manifests.build("granite")])
        if any("vllm-models" in repr(volume) for volume in pod["spec"]["volumes"])
    }
    assert users == {2000}
    debug = manifests.named(manifests.build("dev", "debug"), "Pod", "model-validation-debug")
    assert debug["metadata"]["labels"]["app"] == "model-validation-debug"
    assert debug["spec"]["serviceAccountName"] == "model-validation-debug"


@pytest.mark.parametrize(
    ("prepare", "overlay"), [("prepare", "granite"), ("prepare-llama-70b", "llama-70b")]
)
def test_a_model_is_fetched_to_where_it_is_verified_and_served(prepare: str, overlay: str) -> None:
    """The Job's target, the policy's path and vLLM's first argument are one."""
    job = manifests.named(manifests.build(prepare), "Job", "model-download")
    (download,) = job["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each.get("value") for each in download["env"]}
    documents = manifests.build(overlay)
    (policy,) = manifests.of_kind(documents, "ModelValidation")
    path = policy["spec"]["model"]["path"]
    assert variables["TARGET"] == path == container(documents, "vllm")["args"][0]
    assert variables["REPOSITORY"].rpartition("/")[2].lower() == path.rpartition("/")[2]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_debug_and_download_are_not_part_of_what_runs(overlay: str) -> None:
    """Users apply them when they need them."""
    assert not manifests.of_kind(manifests.build(overlay), "Pod", "Job", "ServiceAccount")


@pytest.mark.parametrize("overlay", ["dev", "granite", "production"])
def test_what_the_guide_has_people_write_builds(tmp_path: Path, overlay: str) -> None:
    """Each of its patches hits something, on the overlays that it names, and makes a policy."""
    mine, *others = guide()
    additions = [each for each in others if "kind" not in each]
    assert mine["resources"] == ["../manifests/stack/overlays/granite"]
    before: list[Document] = []
    for number, addition in enumerate([{"patches": []}, *additions]):
        written = mine | {
            "resources": [f"../manifests/stack/overlays/{overlay}"],
            "components": [] if overlay == "production" else addition.get("components", []),
            "patches": mine["patches"] + addition["patches"],
        }
        documents = written_beside_manifests(tmp_path / str(number), written)
        assert_somebody_signs(documents)
        assert documents != before
        before = before or documents


def test_a_patch_of_the_guide_keeps_the_other_arguments(tmp_path: Path) -> None:
    """Another model by its number leaves tools and traces as they are on `production`."""
    mine, *others = guide()
    (another,) = (each for each in others if "/args/" in repr(each))
    written = mine | {"resources": ["../manifests/stack/overlays/production"]} | another
    old = container(manifests.build("production"), "vllm")["args"]
    new = container(written_beside_manifests(tmp_path / "mine", written), "vllm")["args"]
    changed = {
        before.partition("=")[0] for before, after in zip(old, new, strict=True) if before != after
    }
    assert changed == {old[0], "--served-model-name", "--tool-call-parser"}


def test_each_kustomization_of_the_guide_builds_as_it_stands(tmp_path: Path) -> None:
    """With the reader's signer, and with the registry's names in place of ours."""
    whole = [each for each in guide() if each.get("kind") == "Kustomization"]
    for number, written in enumerate(whole):
        documents = written_beside_manifests(tmp_path / str(number), written)
        if manifests.of_kind(documents, "OCIRepository"):
            continue
        if manifests.of_kind(documents, "ModelValidation"):
            assert_somebody_signs(documents)
        else:
            debug = manifests.named(documents, "Pod", "model-validation-debug")
            (image,) = (each["image"] for each in debug["spec"]["containers"])
            assert image == "registry.example.com/ml/validator:0.1.0-debug"
        for job in manifests.of_kind(documents, "Job"):
            assert "{'name': 'REVISION', 'value': 'COMMIT'}" in repr(job)
    assert len(whole) == 5


@pytest.mark.parametrize("folder", [SHARED, SHARED / "debug"], ids=["stack", "debug"])
def test_the_lane_s_overlay_can_be_built(folder: Path) -> None:
    """Found out here, where it takes a second; the lane comes to it after half an hour."""
    assert built(folder)


def test_the_secret_of_the_guide_has_the_keys_that_are_read() -> None:
    """In the stack's namespace, before it is encrypted."""
    (secret,) = (each for each in guide() if each.get("kind") == "Secret")
    assert secret["metadata"] == {"name": "open-webui", "namespace": "llm"}
    assert secret["stringData"].keys() == SECRETS["open-webui"]


def guide() -> list[dict[str, Any]]:
    """Return what the guide shows as YAML: what stands alone has a kind, the others add to it."""
    return [yaml.safe_load(block) for block in YAML.findall((DOCS / "stack.md").read_text())]


def written_beside_manifests(folder: Path, kustomization: dict[str, Any]) -> list[Document]:
    """Write a kustomization where the guide has it, and return what it makes."""
    link = folder.parent / "manifests"
    if not link.exists():
        link.symlink_to(manifests.STACK.parent)
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return built(folder)


def assert_somebody_signs(documents: list[Document]) -> None:
    """One valid policy, whose signer is not the shipped placeholder."""
    (policy,) = manifests.of_kind(documents, "ModelValidation")
    assert ModelValidation.from_object(policy, source="the guide").spec.config.signers
    assert "example.invalid" not in repr(policy)
