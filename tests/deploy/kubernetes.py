#!/usr/bin/env python3
"""Whether the manifests in deploy/kubernetes fit together, and fit the gateway.

    tests/deploy/kubernetes.py target/debug/api-gateway

Needs PyYAML (Debian package python3-yaml), no cluster.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import yaml

TOP = Path(__file__).resolve().parents[2]
FOLDER = TOP / "deploy/kubernetes"
BINARY = None


class Unique(yaml.SafeLoader):
    """Like a cluster, and unlike PyYAML, refuses a key that comes twice."""


def mapping(loader, node):
    keys = [loader.construct_object(key) for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise yaml.YAMLError(f"{node.start_mark}: {twice} twice")
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


Unique.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


def documents():
    """Of each file, its documents. Copies of examples are the user's own."""
    paths = [path for path in sorted(FOLDER.glob("*.yaml")) if not path.with_suffix(".example.yaml").exists()]
    return {path.name: list(yaml.load_all(path.read_text(), Unique)) for path in paths}


def source(path, pattern):
    """What the pattern finds in a source file, once for all."""
    found = re.search(pattern, (TOP / path).read_text())
    assert found, f"{path} has no {pattern}"
    return found.group(1)


def seconds(action):
    return action.get("sleep", {}).get("seconds", 0)


def labels_of(workload):
    return workload["spec"]["template"]["metadata"]["labels"]


def selects(selector, labels):
    return bool(selector) and selector.items() <= labels.items()


class Manifests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.files = documents()
        cls.all = [document for file in cls.files.values() for document in file]

    def one(self, kind, name):
        found = [d for d in self.all if d["kind"] == kind and d["metadata"]["name"] == name]
        self.assertEqual(len(found), 1, f"{kind} {name}")
        return found[0]

    def workloads(self):
        return [d for d in self.all if d["kind"] in ("Deployment", "StatefulSet")]

    def pod(self):
        return self.one("Deployment", "api-gateway")["spec"]["template"]["spec"]

    def gateway(self):
        (container,) = self.pod()["containers"]
        return container

    def secret(self, name):
        return self.one("Secret", name)["stringData"]

    def environment(self):
        """What the gateway finds in its environment, with the example's secrets."""
        variables = {}
        for origin in self.gateway().get("envFrom", []):
            variables.update(self.secret(origin["secretRef"]["name"]))
        for entry in self.gateway()["env"]:
            if "valueFrom" in entry:
                reference = entry["valueFrom"]["secretKeyRef"]
                value = self.secret(reference["name"])[reference["key"]]
            else:
                # As in a cluster, only what stands before it can be named.
                value = re.sub(r"\$\((\w+)\)", lambda name: variables[name.group(1)], entry["value"])
            variables[entry["name"]] = value
        return variables

    def test_every_document_is_a_named_object(self):
        for name, file in self.files.items():
            self.assertTrue(file, name)
            for document in file:
                self.assertIsInstance(document, dict, name)
                self.assertIn("apiVersion", document, name)
                self.assertIn("kind", document, name)
                if name != "kustomization.yaml":
                    self.assertIn("name", document["metadata"], name)

    def test_the_kustomization_lists_all_that_is_no_example(self):
        (kustomization,) = self.files["kustomization.yaml"]
        expected = {name for name in self.files if not name.endswith(".example.yaml")} - {"kustomization.yaml"}
        self.assertEqual(set(kustomization["resources"]), expected)
        self.assertEqual(kustomization["namespace"], self.files["namespace.yaml"][0]["metadata"]["name"])
        (image,) = kustomization["images"]
        self.assertEqual(image["name"], self.gateway()["image"])
        self.assertEqual(image["newTag"], source("Cargo.toml", r'\nversion = "([^"]+)"'))

    def test_the_configuration_is_valid(self):
        config = self.one("ConfigMap", "api-gateway-config")["data"]
        self.assertEqual(list(config), ["provider.json"])
        named = set(re.findall(r"(?<!\$)\$\{(\w+)\}", config["provider.json"]))
        given = self.environment()
        self.assertLessEqual(named, given.keys(), "the configuration names variables that no pod has")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "provider.json"
            path.write_text(config["provider.json"])
            checked = subprocess.run(
                [BINARY, "check", "--config", path],
                env={name: f"test-{name.lower()}" for name in named} | {"REDIS_URL": given["REDIS_URL"]},
                capture_output=True,
                text=True,
                timeout=30,
            )
        said = checked.stdout + checked.stderr
        self.assertEqual(checked.returncode, 0, said)
        # Versions that cannot share counts yet say so.
        warnings = [line for line in said.splitlines() if line.startswith("warning: ") ]
        self.assertEqual(warnings, [])

    def test_the_configuration_lies_where_the_gateway_looks(self):
        (mount,) = [m for m in self.gateway()["volumeMounts"] if m["name"] == "config"]
        self.assertNotIn("subPath", mount, "a mounted file never changes")
        workdir = source("Dockerfile", r"\nWORKDIR (/app)\n")
        default = source("src/cli.rs", r'env = "CONFIG_PATH",\s+default_value = "([^"]+)"')
        self.assertEqual(f"{mount['mountPath']}/provider.json", f"{workdir}/{default}")
        (volume,) = [v for v in self.pod()["volumes"] if v["name"] == "config"]
        self.one("ConfigMap", volume["configMap"]["name"])

    def test_what_is_written_to_can_be_written_to(self):
        self.assertTrue(self.gateway()["securityContext"]["readOnlyRootFilesystem"])
        writable = {m["mountPath"] for m in self.gateway()["volumeMounts"] if not m.get("readOnly")}
        self.assertEqual(writable, {"/app/data", "/app/logs"})
        user = int(source("Dockerfile", r"\nUSER (\d+):"))
        self.assertEqual(self.pod()["securityContext"]["runAsUser"], user)
        self.assertEqual(self.pod()["securityContext"]["fsGroup"], user)

    def test_the_port_is_the_gateways(self):
        (port,) = self.gateway()["ports"]
        self.assertEqual(port["containerPort"], 6010)
        self.assertEqual(port["containerPort"], int(source("src/cli.rs", r'env = "PORT", default_value_t = (\d+)')))
        self.assertEqual(port["containerPort"], int(source("Dockerfile", r"\nEXPOSE (\d+)")))
        self.assertNotIn("PORT", self.environment())

    def test_probes_ask_paths_that_are_open(self):
        routes = (TOP / "src/routes.rs").read_text()
        opened = set(re.findall(r'"([^"]+)"', " ".join(re.findall(r"open,\s*GET,\s*&\[([^\]]*)\]", routes))))
        for probe, path in (("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
            asked = self.gateway()[probe]["httpGet"]
            self.assertEqual(asked["path"], path)
            self.assertIn(path, opened)
            self.assertEqual(asked["port"], "http")

    def test_ports_that_are_named_exist(self):
        for workload in self.workloads():
            for container in workload["spec"]["template"]["spec"]["containers"]:
                names = {port["name"] for port in container["ports"]}
                for probe in ("livenessProbe", "readinessProbe"):
                    for kind in ("httpGet", "tcpSocket"):
                        if kind in container[probe]:
                            self.assertIn(container[probe][kind]["port"], names)
        for service in (d for d in self.all if d["kind"] == "Service"):
            behind = [w for w in self.workloads() if selects(service["spec"]["selector"], labels_of(w))]
            self.assertEqual(len(behind), 1, service["metadata"]["name"])
            (container,) = behind[0]["spec"]["template"]["spec"]["containers"]
            for port in service["spec"]["ports"]:
                self.assertIn(port["targetPort"], {p["name"] for p in container["ports"]})

    def test_streams_may_end_before_the_pod_does(self):
        drain = int(source("src/server.rs", r"const DRAIN: Duration = Duration::from_secs\((\d+)\)"))
        pause = seconds(self.gateway()["lifecycle"]["preStop"])
        self.assertGreater(pause, 0, "a pod gets requests for a moment after it was told to end")
        self.assertGreater(self.pod()["terminationGracePeriodSeconds"], pause + drain)

    def test_selectors_find_what_they_are_for(self):
        for workload in self.workloads():
            self.assertTrue(selects(workload["spec"]["selector"]["matchLabels"], labels_of(workload)))
        gateway, valkey = (labels_of(self.one(*which)) for which in (("Deployment", "api-gateway"), ("StatefulSet", "valkey")))
        self.assertTrue(selects(self.one("Service", "api-gateway")["spec"]["selector"], gateway))
        self.assertFalse(selects(self.one("Service", "api-gateway")["spec"]["selector"], valkey))
        self.assertTrue(selects(self.one("Service", "valkey")["spec"]["selector"], valkey))
        self.assertTrue(selects(self.one("PodDisruptionBudget", "api-gateway")["spec"]["selector"]["matchLabels"], gateway))
        for spread in self.pod()["topologySpreadConstraints"]:
            self.assertTrue(selects(spread["labelSelector"]["matchLabels"], gateway))
        policy = self.one("NetworkPolicy", "valkey")["spec"]
        self.assertTrue(selects(policy["podSelector"]["matchLabels"], valkey))
        self.assertTrue(selects(policy["ingress"][0]["from"][0]["podSelector"]["matchLabels"], gateway))

    def test_volumes_that_are_mounted_exist(self):
        for workload in self.workloads():
            pod = workload["spec"]["template"]["spec"]
            volumes = {volume["name"] for volume in pod.get("volumes", [])}
            volumes |= {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
            for container in pod["containers"]:
                mounted = {mount["name"] for mount in container["volumeMounts"]}
                self.assertEqual(mounted, volumes, workload["metadata"]["name"])

    def test_secrets_that_are_named_exist(self):
        for workload in self.workloads():
            for container in workload["spec"]["template"]["spec"]["containers"]:
                for entry in container["env"]:
                    if "valueFrom" in entry:
                        reference = entry["valueFrom"]["secretKeyRef"]
                        self.assertIn(reference["key"], self.secret(reference["name"]))
                for origin in container.get("envFrom", []):
                    self.secret(origin["secretRef"]["name"])

    def test_no_secret_is_real(self):
        for secret in (d for d in self.all if d["kind"] == "Secret"):
            self.assertEqual(set(secret["stringData"].values()), {"replace-me"})
        (ignored,) = [line for line in (TOP / ".gitignore").read_text().splitlines() if "kubernetes" in line]
        self.assertEqual(ignored, "/deploy/kubernetes/secret.yaml")

    def test_counts_are_shared_and_kept(self):
        valkey = self.one("StatefulSet", "valkey")["spec"]
        (container,) = valkey["template"]["spec"]["containers"]
        (port,) = self.one("Service", "valkey")["spec"]["ports"]
        url = self.environment()["REDIS_URL"]
        self.assertEqual(url, f"redis://:{self.secret('valkey-auth')['password']}@valkey:{port['port']}/0")
        options = dict(zip(container["args"][1::2], container["args"][2::2]))
        self.assertTrue(all(isinstance(argument, str) for argument in container["args"]), "yes must be quoted")
        self.assertEqual(options["--appendonly"], "yes")
        self.assertEqual(options["--maxmemory-policy"], "noeviction")
        self.assertEqual(options["--dir"], container["volumeMounts"][0]["mountPath"])
        self.assertEqual(valkey["serviceName"], "valkey")
        self.assertEqual(valkey["replicas"], 1)
        self.assertGreater(self.one("Deployment", "api-gateway")["spec"]["replicas"], 1)

    def test_nothing_runs_as_root(self):
        for workload in self.workloads():
            pod = workload["spec"]["template"]["spec"]
            self.assertTrue(pod["securityContext"]["runAsNonRoot"])
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            self.assertFalse(pod["automountServiceAccountToken"])
            for container in pod["containers"]:
                context = container["securityContext"]
                self.assertFalse(context["allowPrivilegeEscalation"])
                self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
                self.assertIn("memory", container["resources"]["limits"])

    def test_the_ingress_does_not_buffer(self):
        ingress = self.one("Ingress", "api-gateway")
        annotations = ingress["metadata"]["annotations"]
        self.assertTrue(all(isinstance(value, str) for value in annotations.values()), "annotations are texts")
        self.assertEqual(annotations["nginx.ingress.kubernetes.io/proxy-buffering"], "off")
        self.assertEqual(annotations["nginx.org/proxy-buffering"], "False")
        # The same as without Kubernetes.
        nginx = (TOP / "deploy/nginx.conf").read_text()
        for line, value in (
            ("proxy_read_timeout", annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"] + "s"),
            ("proxy_send_timeout", annotations["nginx.ingress.kubernetes.io/proxy-send-timeout"] + "s"),
            ("proxy_connect_timeout", annotations["nginx.ingress.kubernetes.io/proxy-connect-timeout"] + "s"),
            ("client_max_body_size", annotations["nginx.ingress.kubernetes.io/proxy-body-size"]),
            ("proxy_next_upstream", annotations["nginx.ingress.kubernetes.io/proxy-next-upstream"]),
            ("proxy_read_timeout", annotations["nginx.org/proxy-read-timeout"]),
            ("proxy_send_timeout", annotations["nginx.org/proxy-send-timeout"]),
            ("proxy_connect_timeout", annotations["nginx.org/proxy-connect-timeout"]),
            ("client_max_body_size", annotations["nginx.org/client-max-body-size"]),
        ):
            self.assertIn(f"{line} {value};", nginx)
        ports = {port["name"] for port in self.one("Service", "api-gateway")["spec"]["ports"]}
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                self.assertEqual(backend["name"], "api-gateway")
                self.assertIn(backend["port"]["name"], ports)


if __name__ == "__main__":
    if len(sys.argv) < 2 or not os.access(sys.argv[1], os.X_OK):
        sys.exit("usage: kubernetes.py PATH-OF-API-GATEWAY [unittest's arguments]")
    BINARY = os.path.abspath(sys.argv.pop(1))
    unittest.main()
