"""The files that put the connector in its place: valid by the usual tools, of one mind with the code and the image."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import SecretStr

from connector.app.definition import load_definition
from connector.app.settings import SECRET_SUFFIX, Settings, documented_settings
from connector.app.wiring import plugins

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SECRETS = Path("/run/secrets")
BIN = Path(sys.executable).parent

Container = dict[str, Any]


def known_variables() -> set[str]:
    """Every variable that somebody reads."""
    own = {each.name for each in documented_settings()}
    theirs = {variable.name for plugin in plugins().values() for variable in plugin.variables}
    return {name + suffix for name in own | theirs for suffix in ("", SECRET_SUFFIX)}


def documents() -> list[dict[str, Any]]:
    return [each for path in MANIFESTS for each in yaml.safe_load_all(path.read_text())]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [each for each in documents() if each["kind"] == kind]


def connectors() -> Iterator[tuple[dict[str, Any], Container]]:
    """The Pod and the container of the connector in each Deployment."""
    for deployment in of_kind("Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            if container["name"] == "connector":
                yield pod, container


def environment(container: Container) -> dict[str, str]:
    named = {each["metadata"]["name"]: each["data"] for each in of_kind("ConfigMap")}
    found = {each["name"]: each["value"] for each in container.get("env", [])}
    for source in container.get("envFrom", []):
        found |= named[source["configMapRef"]["name"]]
    return found


def test_the_dockerfile_passes_its_linter() -> None:
    linter = shutil.which("hadolint", path=str(BIN)) or shutil.which("hadolint")
    if linter is None:
        pytest.skip("there is no hadolint for this kind of machine")
    told = subprocess.run([linter, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout


def test_the_compose_file_is_what_the_compose_specification_says() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout


@pytest.mark.parametrize("version", ["1.29", "1.37"])  # the first with native sidecars, and the newest
def test_the_manifests_are_what_kubernetes_says(version: str) -> None:
    import kubernetes_validate

    assert len(documents()) >= 7
    for document in documents():
        kubernetes_validate.validate(document, version, strict=True)


def test_every_variable_that_they_set_is_read_by_somebody() -> None:
    in_the_image = set(re.findall(r"^\s+(CONNECTOR_\w+)=", DOCKERFILE, re.MULTILINE))
    service = COMPOSE["services"]["connector"]["environment"]
    set_there = in_the_image.union(service, *(environment(container) for _, container in connectors()))
    assert len(in_the_image) == 3
    assert set_there <= known_variables()


def test_every_secret_is_a_file_that_is_mounted() -> None:
    service = COMPOSE["services"]["connector"]
    files = {Path(value) for name, value in service["environment"].items() if name.endswith(SECRET_SUFFIX)}
    assert files == {SECRETS / name for name in service["secrets"]}
    assert set(COMPOSE["secrets"]) >= set(service["secrets"])
    keys = set(of_kind("Secret")[0]["stringData"])
    for _, container in connectors():
        folders = [Path(mount["mountPath"]) for mount in container["volumeMounts"]]
        told = {Path(v) for name, v in environment(container).items() if name.endswith(SECRET_SUFFIX)}
        assert told
        assert all(path.parent in folders and path.name in keys for path in told)


def test_no_secret_stands_in_the_files_themselves() -> None:
    secret = {v.name for plugin in plugins().values() for v in plugin.variables if v.secret}
    secret |= {
        f"CONNECTOR_{name.upper()}"
        for name, field in Settings.model_fields.items()
        if SecretStr in get_args(field.annotation)
    }
    assert {"CONNECTOR_SECRET_KEY", "CONNECTOR_ADMIN_TOKEN", "CONNECTOR_NOTIFY_URLS"} <= secret
    service = COMPOSE["services"]["connector"]["environment"]
    for variables in (service, *(environment(container) for _, container in connectors())):
        assert not secret & variables.keys()
    assert "secrets" in (ROOT / ".gitignore").read_text().split()


def test_it_runs_as_the_user_of_the_image_on_a_read_only_file_system() -> None:
    uid = int(re.search(r"^USER (\d+)", DOCKERFILE, re.MULTILINE)[1])  # type: ignore[index]
    assert COMPOSE["services"]["connector"]["read_only"]
    assert COMPOSE["services"]["connector"]["cap_drop"] == ["ALL"]
    found = list(connectors())
    assert len(found) == 2
    for pod, container in found:
        context = {**pod["securityContext"], **container["securityContext"]}
        assert (context["runAsUser"], context["fsGroup"], context["runAsNonRoot"]) == (uid, uid, True)
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        written = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
        assert written == {"/data", "/tmp"}
        assert container["resources"]["limits"]["memory"]


def test_the_probes_ask_for_paths_that_are_answered() -> None:
    from prometheus_client import CollectorRegistry

    from connector.app.api import health

    class Side:
        registry = CollectorRegistry()

    paths = {route.path for route in health.router(Side()).routes}  # type: ignore[attr-defined, arg-type]
    text = DOCKERFILE + "".join(path.read_text() for path in MANIFESTS)
    asked = set(re.findall(r"path: (/\w+), port", text)) | set(re.findall(r"'?(/healthz|/readyz)'", text))
    assert {"/healthz", "/readyz"} <= asked
    assert asked <= paths


def test_the_sidecar_has_no_probe_that_could_hold_up_the_application() -> None:
    sidecar = next(c for _, c in connectors() if c.get("restartPolicy") == "Always")
    assert "livenessProbe" in sidecar
    assert not {"startupProbe", "readinessProbe"} & sidecar.keys()
    assert environment(sidecar)["CONNECTOR_BIND"].startswith("127.0.0.1:")


def test_selectors_meet_the_pods_that_they_mean() -> None:
    labels = {
        d["metadata"]["name"]: d["spec"]["template"]["metadata"]["labels"] for d in of_kind("Deployment")
    }
    for each in of_kind("PodDisruptionBudget"):
        assert each["spec"]["selector"]["matchLabels"] == labels[each["metadata"]["name"]]
    for each in of_kind("Service"):
        assert each["spec"]["selector"] == labels[each["metadata"]["name"]]


def test_mappings_are_read_from_the_links_of_a_projected_volume(tmp_path: Path) -> None:
    """As the kubelet lays them: names are links into a folder that is swapped whole, lists come by their `path`."""
    shipped = ROOT / "mappings"
    versioned = tmp_path / "..2026_11_26_04_00_00.1"
    (versioned / "lists").mkdir(parents=True)
    for source in [*shipped.glob("*.yaml"), *shipped.glob("lists/*.csv")]:
        shutil.copy(source, versioned / source.relative_to(shipped))
    (tmp_path / "..data").symlink_to(versioned.name)
    for name in [*(path.name for path in shipped.glob("*.yaml")), "lists"]:
        (tmp_path / name).symlink_to(Path("..data") / name)
    found = load_definition(tmp_path, plugins())
    assert found.texts == load_definition(shipped, plugins()).texts
    for pod, _ in connectors():
        sources = next(v["projected"]["sources"] for v in pod["volumes"] if "projected" in v)
        paths = {item["path"] for source in sources for item in source["configMap"].get("items", [])}
        assert paths == {f"lists/{path.name}" for path in shipped.glob("lists/*.csv")}
