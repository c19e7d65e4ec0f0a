#!/usr/bin/env python3
"""Checks charts/ with the real Helm engine: lint, rendering, goldens, schema, and rules every manifest must keep.

`infra/charts/check.py` exits 1 on any finding; `--update` rewrites the golden after a wanted change. Needs the packages
that infra/test puts into target/tools/venv, whose python runs it. Talks to no cluster and no network.
"""
import argparse
import copy
import difflib
import functools
import itertools
import json
import pathlib
import re
import shutil
import sys
import tempfile


def fail(code, sentence):
    """Gives up as the other scripts do (infra/lib.sh): one sentence, and their exit codes."""
    print(f"check.py: {sentence}", file=sys.stderr)
    sys.exit(code)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="rewrite the golden instead of comparing with it")
    parser.error = lambda message: fail(64, f"{message}; see --help.")
    return parser.parse_args()


# Read before the packages are asked for: --help needs none of them.
OPTIONS = arguments()

try:
    import helm_python as helm
    import kubernetes_validate
    import kubernetes_validate.utils
    import yaml
except ImportError as error:
    fail(69, f"{error.name} is missing: run infra/test --tools-only once, then target/tools/venv/bin/python infra/charts/check.py.")

from rules import check_manifests

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHARTS = ROOT / "charts"
GOLDEN = CHARTS / "examples" / "district.rendered.yaml"
# The oldest Kubernetes the chart admits (its kubeVersion), one between, and the newest the validator knows.
KUBERNETES = ["1.30", "1.33", kubernetes_validate.latest_version()]

# Unlike PyYAML's own, refuses a key given twice, which Kubernetes would too.
class StrictLoader(yaml.SafeLoader):
    pass


def _mapping(loader, node, deep=False):
    keys = [loader.construct_object(key, deep=deep) for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise yaml.constructor.ConstructorError(None, None, f"given twice: {sorted(twice)}", node.start_mark)
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


class Report:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, findings):
        findings = list(findings)
        if findings:
            self.failed += 1
            print(f"FAIL {name}")
            for finding in findings:
                print(f"     {finding}")
        else:
            self.passed += 1
            print(f"ok   {name}")


def deep(base, *changes):
    """`base` with each change merged over it; changes are dotted paths to values."""
    values = copy.deepcopy(base)
    for change in changes:
        for path, value in change.items():
            *parents, last = path.split("/")
            place = values
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = value
    return values


def render(chart, values, **options):
    """Manifests as text, in Helm's order, and as parsed documents."""
    rendered = chart.render(values, name="jh", namespace="jianghan", **options)
    text, documents = [], []
    for path in sorted(rendered):
        body = rendered[path].strip()
        if path.endswith("NOTES.txt") or not body:
            continue
        for document in yaml.load_all(body, Loader=StrictLoader):
            if document:
                documents.append(document)
        text.append(f"---\n# Source: {path}\n{body}\n")
    return "".join(text), documents


# The validator reads megabytes of schema anew for each document; most documents of the matrix are alike, too.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)
VALID = set()


def validate(documents):
    for document in documents:
        name = f"{document.get('kind')}/{document.get('metadata', {}).get('name')}"
        fingerprint = json.dumps(document, sort_keys=True)
        for version in KUBERNETES:
            if (fingerprint, version) in VALID:
                continue
            try:
                kubernetes_validate.validate(document, version, strict=True)
                VALID.add((fingerprint, version))
            # An unknown kind is only a warning for the tool's own command line; here it is a failure.
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
                yield f"{name} on Kubernetes {version}: {getattr(error, 'message', error)}"


def lint(path, values):
    report = helm.lint(path, values, strict=True, with_subcharts=False)
    yield from report.get("errors") or []
    for message in report["messages"]:
        # The only information it may give: charts here have no icon.
        if message["severity"] > 1 or "icon is recommended" not in message["error"]:
            yield f"{message['path']}: {message['error']}"


SECRETS = {
    "JIANGHAN_DATABASE_URL_FILE": {"name": "db", "key": "url"},
    "JIANGHAN_AMQP_URL_FILE": {"name": "amqp", "key": "url"},
}

CONFIG = '[services.case-routing.webhook]\nnetworks = ["10.20.0.0/16"]\n'

# One value from each row is taken, in every combination that differs from the first column in at most two rows.
SERVICE_CHOICES = [
    [{}, {"replicas": 0}, {"replicas": 3}],
    [{}, {"secrets": SECRETS}],
    [{}, {"autoscaling/enabled": True}],
    [{}, {"podDisruptionBudget/enabled": False}, {"podDisruptionBudget/maxUnavailable": "50%"}],
    [{}, {"networkPolicy/enabled": False}, {"networkPolicy/egressTo": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}, {"networkPolicy/egressPorts": []}],
    [{}, {"migrate/enabled": False}],
    [
        {},
        {"http/enabled": True},
        {"http/enabled": True, "grpc/enabled": False, "service/headless": False},
        {"http/enabled": True, "ingress/enabled": True, "ingress/host": "a.example", "ingress/tlsSecret": "tls", "ingress/className": "nginx"},
        {"service/headless": False, "service/type": "LoadBalancer", "service/annotations": {"a.example/b": "c"}},
    ],
    [{}, {"serviceAccount/create": False}, {"serviceAccount/name": "other", "serviceAccount/annotations": {"a.example/b": "c"}}],
    [{}, {"env": {"JIANGHAN_SPINE_BATCH": 32, "JIANGHAN_ALLOW_TIME_TRAVEL": False, "JIANGHAN_AUTH_ISSUER": "it's: \"x\""}}, {"env": {"JIANGHAN_SPINE_REFUSE_BACKLOG": 5000000, "JIANGHAN_TRACE_SAMPLE": 0.25}}],
    [{}, {"preStopSeconds": 60}, {"terminationGracePeriodSeconds": 120}],
    [{}, {"tmpSize": 268435456}],
    [{}, {"config": CONFIG}],
    [{}, {"global/image/digest": "sha256:" + "0" * 64}, {"global/image/tag": "1.2.3", "global/image/pullSecrets": ["a", "b"]}],
    [{}, {"global/peers": {"identity": 9090, "case-routing": 9191}, "global/otlpEndpoint": "http://otel:4317", "global/publicUrl": "https://x.example"}],
    [
        {},
        {"podLabels": {"team": "a"}, "podAnnotations": {"a.example/b": "c"}, "nodeSelector": {"disk": "ssd"}, "priorityClassName": "high"},
        {"tolerations": [{"key": "a", "operator": "Exists"}], "affinity": {"nodeAffinity": {}}, "topologySpread/enabled": False},
        {"topologySpread/whenUnsatisfiable": "DoNotSchedule"},
    ],
    [{}, {"name": "a-name-of-forty-characters-no-more-than1"}],
]


def service_matrix():
    plain = [row[0] for row in SERVICE_CHOICES]
    alternatives = [(i, choice) for i, row in enumerate(SERVICE_CHOICES) for choice in row[1:]]
    seen = [plain]
    for count in (1, 2):
        for picked in itertools.combinations(alternatives, count):
            if len({i for i, _ in picked}) == count:
                seen.append([dict(picked).get(i, row) for i, row in enumerate(plain)])
    return [deep({}, *rows) for rows in seen]


# Values the umbrella must take.
UMBRELLA = {
    "defaults": {},
    "a service without migrations": deep({}, {"staffing/migrate/enabled": False}),
    "another port": deep({}, {"global/peers/staffing": 9191, "staffing/grpc/port": 9191}),
    "no network policies": {s: {"networkPolicy": {"enabled": False}} for s in ("identity", "caseRouting", "staffing", "volunteerMatching", "analytics", "gateway")},
    "everything scaled": {s: {"autoscaling": {"enabled": True}} for s in ("identity", "caseRouting", "staffing", "volunteerMatching", "analytics", "gateway")},
    "a settings file": deep({}, {"caseRouting/config": CONFIG, "gateway/config": "[telemetry]\nsample = 0.1"}),
    "gateway as a load balancer": deep({}, {"gateway/service/type": "LoadBalancer", "gateway/http/port": 80}),
}

# Values that the schema must refuse, and what its message must name.
REFUSED = [
    ("service", {"replica": 2}, "replica"),
    ("service", {"replicas": "2"}, "replicas"),
    ("service", {"replicas": -1}, "replicas"),
    ("service", {"grpc": {"port": 0}}, "port"),
    ("service", {"grpc": {"port": 70000}}, "port"),
    ("service", {"grpc": {"prot": 9090}}, "prot"),
    ("service", {"grpc": {"enabled": False}}, "enabled"),
    ("service", {"ingress": {"enabled": True, "host": "a.example"}}, "http"),
    ("service", {"http": {"enabled": True}, "ingress": {"enabled": True}}, "host"),
    ("service", {"service": {"type": "LoadBalancer"}}, "type"),
    ("service", {"service": {"type": "ExternalName", "headless": False}}, "type"),
    ("service", {"secrets": {"JIANGHAN_DATABASE_URL": {"name": "a", "key": "b"}}}, "JIANGHAN_DATABASE_URL"),
    ("service", {"secrets": {"JIANGHAN_DATABASE_URL_FILE": "postgres://u:p@h/d"}}, "JIANGHAN_DATABASE_URL_FILE"),
    ("service", {"secrets": {"JIANGHAN_DATABASE_URL_FILE": {"name": "a"}}}, "key"),
    ("service", {"secrets": {"JIANGHAN_DATABASE_URL_FILE": {"name": "a", "key": "b", "value": "c"}}}, "value"),
    ("service", {"env": {"lower": "x"}}, "lower"),
    ("service", {"env": {"A": ["x"]}}, "env"),
    ("service", {"config": {"listen": "0.0.0.0:1"}}, "config"),
    ("service", {"migrate": {"hooks": "pre-install"}}, "hooks"),
    ("service", {"runAsUser": 0}, "runAsUser"),
    ("service", {"terminationGracePeriodSeconds": 5}, "terminationGracePeriodSeconds"),
    ("service", {"resources": {"limits": {"memory": "lots"}}}, "memory"),
    ("service", {"resources": {"requests": {"gpu": 1}}}, "gpu"),
    ("service", {"podDisruptionBudget": {"maxUnavailable": 0}}, "maxUnavailable"),
    ("service", {"networkPolicy": {"egressPorts": ["5432"]}}, "egressPorts"),
    ("service", {"networkPolicy": {"egressTo": [{"cidr": "10.0.0.0/8"}]}}, "cidr"),
    ("service", {"global": {"image": {"tag": "latest"}}}, "tag"),
    ("service", {"global": {"image": {"digest": "sha256:abc"}}}, "digest"),
    ("service", {"global": {"image": {"pullPolicy": "Sometimes"}}}, "pullPolicy"),
    ("service", {"global": {"peers": ["identity"]}}, "peers"),
    ("service", {"global": {"publicUrl": "jianghan.example"}}, "publicUrl"),
    ("service", {"global": {"otlpEndpoint": "https://otel:4317"}}, "otlpEndpoint"),
    ("service", {"topologySpread": {"whenUnsatisfiable": "Never"}}, "whenUnsatisfiable"),
    ("service", {"name": "Case_Routing"}, "name"),
    ("jianghan", {"casRouting": {}}, "casRouting"),
    ("jianghan", {"caseRouting": {"replica": 2}}, "replica"),
    ("jianghan", {"gateway": {"ingress": {"enabled": True}}}, "host"),
    ("jianghan", {"global": {"imag": {}}}, "imag"),
    ("jianghan", {"global": {"image": {"tag": "latest"}}}, "tag"),
    ("jianghan", {"global": {"otlpEndpoint": "https://otel:4317"}}, "otlpEndpoint"),
]


def special_cases():
    """Names of services in the chart of all of them: what one needs and others do not is said in values."""
    suite = yaml.load((CHARTS / "jianghan" / "Chart.yaml").read_text(), Loader=StrictLoader)
    names = [re.sub("(?=[A-Z])", "[-_]?", dependency["alias"]) for dependency in suite["dependencies"]]
    if len(names) != 6:
        yield f"the suite has {len(names)} services, not 6: {names}"
    templates = sorted((CHARTS / "service" / "templates").rglob("*.*"))
    if not templates:
        yield "there are no templates"
    for template in templates:
        # Comments may name them. A line of YAML's own comments is read by Helm all the same, so one with an action is none.
        text = re.sub(r"\{\{-?\s*/\*.*?\*/\s*-?\}\}", "", template.read_text(), flags=re.DOTALL)
        text = re.sub(r"(?m)(^|\s)#[^{\n]*$", "", text)
        for name in sorted({found.group() for found in re.finditer("|".join(names), text, re.IGNORECASE)}):
            yield f"{template.name} names {name}"


def refusal(charts, chart, values, word):
    """Findings when the chart takes `values`, or refuses them without naming what is wrong."""
    try:
        charts[chart].render(values, name="jh", namespace="jianghan")
    except helm.HelmError as error:
        if word not in str(error):
            yield f"refused, but the message does not name {word}: {error}"
    else:
        yield "was accepted"


def main():
    report = Report()

    with tempfile.TemporaryDirectory(prefix="jh-charts-") as folder:
        # Dependencies are fetched into a copy: the source tree stays as it is.
        work = pathlib.Path(folder)
        for name in ("service", "jianghan"):
            shutil.copytree(CHARTS / name, work / name, ignore=shutil.ignore_patterns("charts"))
        helm.dependency_build(work / "jianghan")
        charts = {name: helm.Chart.load(work / name) for name in ("service", "jianghan")}

        report.check("lint service", lint(work / "service", {}))
        report.check("lint jianghan", lint(work / "jianghan", {}))

        report.check("the chart service treats all services alike", special_cases())

        matrix = service_matrix()
        for values in matrix:
            try:
                _, documents = render(charts["service"], values)
                findings = [*validate(documents), *check_manifests(documents)]
            except (helm.HelmError, yaml.YAMLError) as error:
                findings = [str(error)]
            report.check(f"service with {values or 'defaults'}", findings)

        district = yaml.load((CHARTS / "examples" / "district.values.yaml").read_text(), Loader=StrictLoader)
        for name, values in {**UMBRELLA, "the district example": district}.items():
            for upgrade in (False, True):
                _, documents = render(charts["jianghan"], values, is_upgrade=upgrade, is_install=not upgrade)
                findings = [*validate(documents), *check_manifests(documents, whole_suite=True)]
                report.check(f"jianghan, {'upgrade' if upgrade else 'install'}: {name}", findings)

        for chart, values, word in REFUSED:
            report.check(f"{chart} refuses {values}", refusal(charts, chart, values, word))

        text, _ = render(charts["jianghan"], district)
        if OPTIONS.update:
            GOLDEN.write_text(text)
            print(f"wrote {GOLDEN.relative_to(ROOT)}")
        golden = GOLDEN.read_text() if GOLDEN.exists() else ""
        difference = list(difflib.unified_diff(golden.splitlines(), text.splitlines(), "golden", "rendered", lineterm="", n=1))
        if difference:
            difference.append("if this is wanted: target/tools/venv/bin/python infra/charts/check.py --update")
        report.check("the golden of the district example", difference)

    print(f"charts with Helm {helm.helm_sdk_version()}: {report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
