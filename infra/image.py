#!/usr/bin/env python3
"""Checks infra/Containerfile against the tree, without building it: what it starts from, copies, builds and runs.

`infra/image.py` exits 1 on any finding. Needs Python 3.11 and nothing else; talks to no registry.
"""
import argparse
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[1]
CONTAINERFILE = ROOT / "infra" / "Containerfile"


def fail(code, sentence):
    """Gives up as the other scripts do (infra/lib.sh): one sentence, and their exit codes."""
    print(f"image.py: {sentence}", file=sys.stderr)
    sys.exit(code)


def instructions(text):
    """Each instruction in capitals with its arguments; continued lines are one."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        yield word.upper(), rest.strip()


class Context:
    """What .dockerignore leaves of the tree: the last rule that names a path, or a folder above it, decides."""

    def __init__(self, text):
        rules = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        self.rules = [(rule.startswith("!"), self.expression(rule.removeprefix("!"))) for rule in rules]

    @staticmethod
    def expression(pattern):
        parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.strip("/"))
        wild = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        return re.compile("".join(wild.get(part, re.escape(part)) for part in parts))

    def lacks(self, path):
        """Whether this path, relative to the root, is missing there."""
        path = pathlib.PurePosixPath(path)
        if not (ROOT / path).exists():
            return True
        names = [str(path), *(str(parent) for parent in path.parents if parent.name)]
        kept = True
        for keeps, expression in self.rules:
            if any(expression.fullmatch(name) for name in names):
                kept = keeps
        return not kept


def packages(workspace):
    """The workspace's packages: name, folder, manifest."""
    for member in workspace["workspace"]["members"]:
        for folder in sorted(ROOT.glob(member)):
            if (folder / "Cargo.toml").exists():
                manifest = tomllib.loads((folder / "Cargo.toml").read_text())
                yield manifest["package"]["name"], folder.relative_to(ROOT), manifest


def binaries(name, folder, manifest):
    found = {target["name"] for target in manifest.get("bin", [])}
    return found | ({name} if (ROOT / folder / "src" / "main.rs").exists() else set())


def base_images(stages, rust):
    suites, named = set(), {alias for _, alias in stages}
    for image, _ in stages:
        if image in named:
            continue
        name, _, tag = image.rpartition(":")
        if not name or tag == "latest":
            yield f"{image} names no version"
            continue
        version, *rest = tag.split("-")
        suites.update(word for word in (version, *rest) if word.isalpha() and word != "slim")
        if name.split("/")[-1] == "rust" and version.split(".")[:2] != rust.split(".")[:2]:
            yield f"{image} is not the Rust {rust} of Cargo.toml (rust-version)"
    if len(suites) != 1:
        yield f"built on one Debian and run on another: {', '.join(sorted(suites)) or 'none is named'}"


def copies(steps, stages, context):
    names = {name for _, name in stages if name}
    for word, rest in steps:
        if word not in ("COPY", "ADD"):
            continue
        *words, _target = rest.split()
        stage = next((word.removeprefix("--from=") for word in words if word.startswith("--from=")), None)
        if stage is not None:
            if stage not in names:
                yield f"{word} {rest}: there is no stage {stage}"
            continue
        for source in (word for word in words if not word.startswith("--")):
            if source != "." and context.lacks(source):
                yield f"{word} {rest}: {source} is not in the tree, or .dockerignore leaves it out"


def manifests(found, workspace, context):
    """What cargo reads of the workspace before it builds anything."""
    wanted = ["Cargo.toml", "Cargo.lock"]
    for _, folder, manifest in found:
        wanted.append(folder / "Cargo.toml")
        targets = [target for kind in ("bin", "test", "bench", "example") for target in manifest.get(kind, [])]
        wanted += [folder / target["path"] for target in targets if "path" in target]
        usual = [folder / name for name in ("src/lib.rs", "src/main.rs", "build.rs")]
        wanted += [path for path in usual if (ROOT / path).exists()]
    dependencies = workspace["workspace"]["dependencies"].values()
    wanted += [one["path"] for one in dependencies if isinstance(one, dict) and "path" in one]
    for path in wanted:
        if context.lacks(path):
            yield f"{path} is not in the tree, or .dockerignore leaves it out"


def programs(steps, found):
    """What is built, put aside and started."""
    commands = " ; ".join(rest for word, rest in steps if word == "RUN")
    cargo = " ".join(re.findall(r"cargo build ([^&|;]*)", commands))
    built = re.findall(r"(?:-p|--package)[ =](\S+)", cargo)
    loop = re.search(r"for binary in ([^;]+);", commands)
    kept = loop.group(1).split() if loop else []
    known = {name: binaries(name, folder, manifest) for name, folder, manifest in found}
    for name in built:
        if not known.get(name):
            yield f"cargo build -p {name}: no package of that name has a binary"
    made = set().union(*(known.get(name, set()) for name in built))
    yield from (f"{name} is put aside but not built" for name in kept if name not in made)
    # What tests the suite from outside (tests/) is started from a tree, not deployed.
    every = set().union(*(known[name] for name, folder, _ in found if folder.parts[0] == "services"))
    yield from (f"the binary {name} is not in the image" for name in sorted(every - set(kept)))
    started = [rest for word, rest in steps if word == "ENTRYPOINT"]
    if len(started) != 1 or not any(f'"/usr/local/bin/{name}"' in started[0] for name in kept):
        yield f"ENTRYPOINT starts none of the binaries: {started}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.error = lambda message: fail(64, f"{message}; see --help.")
    parser.parse_args()

    steps = list(instructions(CONTAINERFILE.read_text()))
    stages = []
    for word, rest in steps:
        if word == "FROM":
            image, *alias = rest.split()
            stages.append((image, alias[1] if len(alias) == 2 else None))
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())
    found = list(packages(workspace))
    context = Context((ROOT / ".dockerignore").read_text())
    failed = 0
    for name, findings in (
        ("the images it starts from", base_images(stages, workspace["workspace"]["package"]["rust-version"])),
        ("what it copies", copies(steps, stages, context)),
        ("what cargo reads", manifests(found, workspace, context)),
        ("what it builds and runs", programs(steps, found)),
    ):
        findings = list(findings)
        failed += bool(findings)
        print(f"{'FAIL' if findings else 'ok  '} {name}")
        for finding in findings:
            print(f"     {finding}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
