"""Rules that every rendered manifest of the charts must keep, beyond what the API's schema says."""
import pathlib
import re

# What the `restricted` Pod Security Standard allows as volumes, as far as the charts use them.
VOLUMES = {"configMap", "emptyDir", "projected", "secret"}


def name_of(document):
    return f"{document['kind']}/{document['metadata']['name']}"


def pods(documents):
    """Each document that starts pods, with its pod template."""
    for document in documents:
        if document["kind"] in ("Deployment", "Job"):
            yield document, document["spec"]["template"]


def selects(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


def check_manifests(documents, whole_suite=False):
    """Findings as sentences; none is good."""
    yield from names(documents)
    for document, template in pods(documents):
        for finding in restricted(template["spec"]):
            yield f"{name_of(document)}: {finding}"
        for finding in careful(document, template["spec"]):
            yield f"{name_of(document)}: {finding}"
    yield from selectors(documents)
    yield from references(documents)
    yield from hooks(documents)
    yield from settings(documents)
    if whole_suite:
        yield from addresses(documents)


def names(documents):
    seen = set()
    for document in documents:
        name = name_of(document)
        if name in seen:
            yield f"{name} is made twice"
        seen.add(name)
        if len(document["metadata"]["name"]) > 63 or not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", document["metadata"]["name"]):
            yield f"{name}: not a name Kubernetes takes everywhere"
        if document["kind"] == "Secret":
            yield f"{name}: charts refer to Secrets, they never make one"
        labels = document["metadata"].get("labels", {})
        for label in ("name", "instance", "version", "part-of", "managed-by"):
            if f"app.kubernetes.io/{label}" not in labels:
                yield f"{name}: label app.kubernetes.io/{label} is missing"


def restricted(pod):
    """The `restricted` Pod Security Standard, and a read-only root."""
    context = pod.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
        yield "may run as root"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "has no seccomp profile"
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key):
            yield f"uses {key}"
    for volume in pod.get("volumes", []):
        if not set(volume) - {"name"} <= VOLUMES:
            yield f"volume {volume['name']} is of a kind that is not allowed"
    for container in pod["containers"] + pod.get("initContainers", []):
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            yield "may gain privileges"
        if own.get("capabilities") != {"drop": ["ALL"]}:
            yield "keeps capabilities"
        if own.get("readOnlyRootFilesystem") is not True:
            yield "can write its image"


def careful(document, pod):
    if pod.get("automountServiceAccountToken") is not False:
        yield "mounts a Kubernetes token"
    mounted = {volume["name"] for volume in pod.get("volumes", [])}
    for container in pod["containers"]:
        image = container["image"]
        if ":" not in image.split("/")[-1] or image.endswith(":latest"):
            yield f"image {image} is not pinned"
        resources = container["resources"]
        if not {"cpu", "memory"} <= set(resources.get("requests", {})) or "memory" not in resources.get("limits", {}):
            yield "asks for no CPU and memory, or has no memory limit"
        used = {mount["name"] for mount in container.get("volumeMounts", [])}
        if used != mounted:
            yield f"mounts {sorted(used)} of volumes {sorted(mounted)}"
        for entry in container.get("env", []):
            if re.search(r"PASSWORD|SECRET$|_URL$|TOKEN|KEY$", entry["name"]):
                yield f"{entry['name']} could hold a secret value"
        if document["kind"] == "Deployment":
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if not {"grpc", "httpGet"} & set(container.get(probe, {})):
                    yield f"has no {probe}"
            port_names = {port["name"]: port["containerPort"] for port in container["ports"]}
            probe = container["readinessProbe"]
            if "httpGet" in probe and probe["httpGet"]["port"] not in port_names:
                yield "is probed on a port it does not have"
            if "grpc" in probe and probe["grpc"]["port"] not in port_names.values():
                yield "is probed on a port it does not have"
    for spread in pod.get("topologySpreadConstraints", []):
        if spread["whenUnsatisfiable"] == "DoNotSchedule" and spread.get("nodeTaintsPolicy") != "Honor":
            yield f"waits for nodes that are lost or drained to take pods over {spread['topologyKey']}"
    if document["kind"] == "Deployment":
        # A process stops within 25 seconds after SIGTERM, which it gets when the wait before is over.
        waits = max(container["lifecycle"]["preStop"]["sleep"]["seconds"] for container in pod["containers"])
        if pod["terminationGracePeriodSeconds"] < waits + 27:
            yield "is killed before it can drain"


def selectors(documents):
    jobs = [(d, t) for d, t in pods(documents) if d["kind"] == "Job"]
    for document, template in pods(documents):
        if document["kind"] != "Deployment":
            continue
        labels, selector = template["metadata"]["labels"], document["spec"]["selector"]["matchLabels"]
        if not selects(selector, labels) or set(labels) <= set(selector):
            yield f"{name_of(document)}: the pod's labels are not a superset of the selector's"
        others = [d for d, t in pods(documents) if d is not document and selects(selector, t["metadata"]["labels"])]
        if others:
            yield f"{name_of(document)}: its selector also picks {', '.join(map(name_of, others))}"
        for constraint in template["spec"].get("topologySpreadConstraints", []):
            if constraint["labelSelector"]["matchLabels"] != selector:
                yield f"{name_of(document)}: spreads other pods than its own"
            if constraint["topologyKey"] != "kubernetes.io/hostname" and constraint["whenUnsatisfiable"] != "ScheduleAnyway":
                yield f"{name_of(document)}: is not scheduled on nodes without the label {constraint['topologyKey']}"
    for document in documents:
        selector = {
            "Service": lambda d: d["spec"]["selector"],
            "PodDisruptionBudget": lambda d: d["spec"]["selector"]["matchLabels"],
        }.get(document["kind"])
        if selector:
            picked = [d for d, t in pods(documents) if selects(selector(document), t["metadata"]["labels"])]
            if [d["kind"] for d in picked] != ["Deployment"]:
                yield f"{name_of(document)}: picks {[name_of(d) for d in picked]} instead of one Deployment"
                continue
            ports = {p["name"] for c in picked[0]["spec"]["template"]["spec"]["containers"] for p in c["ports"]}
            for port in document["spec"].get("ports", []):
                if port["targetPort"] not in ports:
                    yield f"{name_of(document)}: leads to port {port['targetPort']}, which its pods do not have"
    for document, _ in jobs:
        if "pre-install" in document["metadata"]["annotations"].get("helm.sh/hook", ""):
            yield f"{name_of(document)}: runs before the Secrets of the release exist"


def references(documents):
    made = {(d["kind"], d["metadata"]["name"]): d for d in documents}
    for document, template in pods(documents):
        pod = template["spec"]
        for container in pod["containers"]:
            for source in container.get("envFrom", []):
                settings = made.get(("ConfigMap", source["configMapRef"]["name"]))
                if settings is None:
                    yield f"{name_of(document)}: its ConfigMap is not in the release"
                    continue
                file = settings["data"].get("JIANGHAN_CONFIG")
                if file is None:
                    continue
                place = pathlib.PurePosixPath(file)
                mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
                volumes = {volume["name"]: volume.get("configMap", {}).get("name") for volume in pod["volumes"]}
                held = made.get(("ConfigMap", volumes.get(mounts.get(str(place.parent)))))
                if held is None or not held["data"].get(place.name):
                    yield f"{name_of(document)}: nothing is mounted at {file}"
                if "checksum/config" not in template["metadata"]["annotations"]:
                    yield f"{name_of(document)}: does not restart when its settings file changes"
    for document in documents:
        if document["kind"] == "HorizontalPodAutoscaler":
            target = made.get(("Deployment", document["spec"]["scaleTargetRef"]["name"]))
            if target is None or "replicas" in target["spec"]:
                yield f"{name_of(document)}: its target is missing or fixes its own number of pods"
        if document["kind"] == "Ingress":
            for rule in document["spec"]["rules"]:
                for path in rule["http"]["paths"]:
                    service = made.get(("Service", path["backend"]["service"]["name"]))
                    ports = {port["name"] for port in service["spec"]["ports"]} if service else set()
                    if path["backend"]["service"]["port"]["name"] not in ports:
                        yield f"{name_of(document)}: leads to no port of the release"


def hooks(documents):
    """A Job that runs before the release is upgraded finds what it needs: nothing of it is there yet but other hooks."""
    jobs = [(d, t) for d, t in pods(documents) if d["kind"] == "Job"]
    policies = [d for d in documents if d["kind"] == "NetworkPolicy"]
    for document, template in jobs:
        if template["spec"].get("serviceAccountName") != "default":
            yield f"{name_of(document)}: runs as a ServiceAccount that may not be there yet"
        labels = template["metadata"]["labels"]
        own = [p for p in policies if selects(p["spec"]["podSelector"]["matchLabels"], labels)]
        # A policy is there where the Deployment has one.
        if policies and len(own) != 1:
            yield f"{name_of(document)}: is under {len(own)} NetworkPolicies, not one"
        hook = document["metadata"]["annotations"]
        for policy in own:
            before = policy["metadata"].get("annotations", {})
            if before.get("helm.sh/hook") != hook["helm.sh/hook"]:
                yield f"{name_of(policy)}: is not made when {name_of(document)} is"
            if int(before.get("helm.sh/hook-weight", 0)) >= int(hook.get("helm.sh/hook-weight", 0)):
                yield f"{name_of(policy)}: is not made before {name_of(document)}"
            if before.get("helm.sh/hook-delete-policy") != "before-hook-creation":
                yield f"{name_of(policy)}: may be gone while {name_of(document)} runs"


def settings(documents):
    """Numbers of a values file are floats to Helm: a million must not become 1e+06, which no service reads."""
    for document in documents:
        if document["kind"] == "ConfigMap":
            for name, value in document["data"].items():
                if re.fullmatch(r"[-+.\d]+e\+\d+", value):
                    yield f"{name_of(document)}: {name} is {value}"


def addresses(documents):
    """Every JIANGHAN_ADDR_… is a Service of the release and a port it has; every service knows all five."""
    ports = {d["metadata"]["name"]: {p["port"] for p in d["spec"]["ports"]} for d in documents if d["kind"] == "Service"}
    for document in documents:
        if document["kind"] != "ConfigMap" or "jianghan.toml" in document["data"]:
            continue
        known = {k: v for k, v in document["data"].items() if k.startswith("JIANGHAN_ADDR_")}
        if len(known) != 5:
            yield f"{name_of(document)}: knows {len(known)} addresses, not 5"
        for variable, address in known.items():
            host, port = re.fullmatch(r"http://([-a-z0-9]+):(\d+)", address).groups()
            if int(port) not in ports.get(host, set()):
                yield f"{name_of(document)}: {variable} is {address}, which nothing in the release answers"
