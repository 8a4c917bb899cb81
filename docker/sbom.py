"""Writes what an image holds to standard output, as CycloneDX: the crates and the C libraries in the program, the system's packages,
ONNX Runtime.

    sbom.py --crates services/eddy/Cargo.toml --packages /var/lib/dpkg/status --system /etc/os-release \\
        --onnxruntime pkg:pypi/onnxruntime@1.31.1=libonnxruntime.so [--version 1.2.3] [--licenses FOLDER]

In the place of --crates, --program takes the program's part from a document that this script has written before. The time is that of
SOURCE_DATE_EPOCH, so that the same image has the same document.
"""

import argparse
import datetime
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

# Where the version of a C library is written: in the crate's own version, or nowhere; else a header and what finds it there.
CRATE, NOWHERE = "crate", "nowhere"
# A crate that links C code, by the `links` of its manifest: that code's name, and what other code lies in it; for each where its
# version is, and by what name vulnerabilities are filed, if there is one.
LINKED = {
    "rdkafka": {
        "librdkafka": (CRATE, "cpe:2.3:a:confluent:librdkafka"),
        "lz4": (("librdkafka/src/lz4.h", "LZ4_VERSION_(?:MAJOR|MINOR|RELEASE) +([0-9]+)"), "cpe:2.3:a:lz4_project:lz4"),
        "xxhash": (("librdkafka/src/rdxxhash.h", "XXH_VERSION_(?:MAJOR|MINOR|RELEASE) +([0-9]+)"), None),
        "cjson": (("librdkafka/src/cJSON.h", "CJSON_VERSION_(?:MAJOR|MINOR|PATCH) +([0-9]+)"), "cpe:2.3:a:davegamble:cjson"),
        "nanopb": (("librdkafka/src/nanopb/pb.h", 'NANOPB_VERSION "nanopb-(.+)"'), "cpe:2.3:a:nanopb_project:nanopb"),
        "tinycthread": (("librdkafka/src/tinycthread.h", "TINYCTHREAD_VERSION_(?:MAJOR|MINOR) +([0-9]+)"), None),
        "snappy-c": (NOWHERE, None),
        "crc32c": (NOWHERE, None),
        "fnv1a": (NOWHERE, None),
        "hdrhistogram": (NOWHERE, None),
        "murmur2": (NOWHERE, None),
        "opentelemetry-proto": (NOWHERE, None),
        "pycrc": (NOWHERE, None),
    },
    "z": {"zlib": (("src/zlib/zlib.h", 'ZLIB_VERSION "([0-9.]+)"'), "cpe:2.3:a:zlib:zlib")},
    "zstd": {"zstd": (CRATE, "cpe:2.3:a:facebook:zstandard")},
    # These are in packages of the system, and ONNX Runtime is loaded when the program starts.
    "openssl": {},
    "onnxruntime": {},
}
# What a licence's text is called, wherever in a crate it lies: that of C code lies beside the code.
LICENSE = re.compile("(LICEN[CS]E|COPYING|COPYRIGHT|NOTICE|UNLICENSE)")
# The list of crates that come without a text; it says the licence that their manifests name.
WITHOUT = "without-a-text.txt"


def fail(message):
    sys.exit(f"sbom.py: {message}")


def cargo(*words):
    done = subprocess.run(["cargo", *words], stdout=subprocess.PIPE, text=True)
    return done.stdout if done.returncode == 0 else fail(f"cargo {words[0]} failed: see above")


def linked_code(package):
    """The C libraries in a crate."""
    name = package["links"]
    if name not in LINKED:
        fail(f"{package['name']} links {name}, which nobody has told this script about: add it to LINKED")
    folder = pathlib.Path(package["manifest_path"]).parent
    for library, (place, cpe) in LINKED[name].items():
        found = {"type": "library", "name": library}
        purl = f"pkg:generic/{library}"
        if place != NOWHERE:
            if place == CRATE:
                version = re.sub("^[a-z]+[.]", "", package["version"].partition("+")[2])
            else:
                version = ".".join(re.findall(f"#define +{place[1]}", (folder / place[0]).read_text()))
            if not version:
                fail(f"cannot find the version of {library} in {package['name']} {package['version']}: correct LINKED")
            found["version"] = version
            purl += f"@{version}"
        if cpe:
            found["cpe"] = f"{cpe}:{version}:*:*:*:*:*:*:*"
        yield found | {"bom-ref": purl, "purl": purl}


def expression(package):
    """Its licence as SPDX writes it; the older way had a slash for a choice."""
    return (package["license"] or "unknown").replace("/", " OR ")


def copy_licenses(packages, folder):
    """The texts of each crate, in a folder of its own; crates that have none of their own stand in a list."""
    folder = pathlib.Path(folder)
    if folder.exists():
        fail(f"{folder} is there already: name a folder that is not, so that nothing else is in it")
    folder.mkdir(parents=True)
    without = []
    for package in packages:
        source = pathlib.Path(package["manifest_path"]).parent
        name = f"{package['name']}-{package['version']}"
        # A crate of this project is built in place, and its text is the project's.
        files = [file for file in source.rglob("*") if LICENSE.match(file.name) and file.is_file()] if package["source"] else []
        for file in files:
            copy = folder / name / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        if not any(file.parent == source for file in files):
            without.append(f"{name}: {expression(package)}\n")
    (folder / WITHOUT).write_text("".join(sorted(without)))


def crate(package, checksums):
    purl = f"pkg:cargo/{package['name']}@{package['version'].replace('+', '%2B')}"
    found = {"type": "library", "bom-ref": purl, "name": package["name"], "version": package["version"], "purl": purl}
    if package["license"]:
        found["licenses"] = [{"expression": expression(package)}]
    checksum = checksums.get((package["name"], package["version"]))
    if checksum:
        found["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return found


def program_of_crates(manifest, licenses):
    """The program, what it is made of, and what of that needs what; licences go to a folder, if one is given."""
    target = re.search("^host: (.*)$", subprocess.check_output(["rustc", "-vV"], text=True), re.M)[1]
    common = ["--locked", "--manifest-path", manifest]
    # Those that are in the program: without macros, tests and builds.
    tree = cargo("tree", *common, "--edges", "normal,no-proc-macro", "--target", target, "--prefix", "none", "--format", "{p}")
    inside = {tuple(line.split()[:2]) for line in tree.splitlines() if line}
    metadata = json.loads(cargo("metadata", *common, "--format-version", "1", "--filter-platform", target))
    with open(pathlib.Path(metadata["workspace_root"]) / "Cargo.lock", "rb") as file:
        locked = tomllib.load(file)["package"]
    checksums = {(package["name"], package["version"]): package.get("checksum") for package in locked}

    packages = [package for package in metadata["packages"] if (package["name"], f"v{package['version']}") in inside]
    crates = {package["id"]: crate(package, checksums) for package in packages}
    if licenses:
        copy_licenses(packages, licenses)
    # Of a build or a test nothing is in the program.
    is_inside = lambda dep: any(kind["kind"] is None for kind in dep["dep_kinds"])
    needs = {node["id"]: {dep["pkg"] for dep in node["deps"] if is_inside(dep)} for node in metadata["resolve"]["nodes"]}
    components, dependencies = {}, []
    for package in packages:
        code = {found["bom-ref"]: found for found in linked_code(package)} if package["links"] else {}
        found = crates[package["id"]]
        components |= {found["bom-ref"]: found} | code
        wanted = [crates[other]["bom-ref"] for other in needs[package["id"]] if other in crates]
        dependencies.append({"ref": found["bom-ref"], "dependsOn": sorted([*wanted, *code])})
    root = pathlib.Path(manifest).resolve()
    program = next(package["id"] for package in packages if pathlib.Path(package["manifest_path"]) == root)
    program = components.pop(crates[program]["bom-ref"]) | {"type": "application"}
    return program, list(components.values()), dependencies


def program_of_document(path):
    """The same out of a document of this script, without what belongs to the image around the program."""
    document = json.loads(pathlib.Path(path).read_text())
    is_ours = lambda ref: not ref.startswith(("pkg:deb/", "pkg:pypi/"))
    components = [component for component in document["components"] if is_ours(component["bom-ref"])]
    dependencies = [
        {"ref": one["ref"], "dependsOn": [ref for ref in one["dependsOn"] if is_ours(ref)]} for one in document["dependencies"]
    ]
    return document["metadata"]["component"], components, dependencies


def system_packages(path, release):
    """Those that dpkg knows: of its own file, or of a folder with a file for each."""
    values = dict(re.findall('^([A-Z_]+)="?([^"\n]*)"?$', pathlib.Path(release).read_text(), re.M))
    distribution = f"{values['ID']}-{values['VERSION_ID']}"
    path = pathlib.Path(path)
    texts = [file.read_text() for file in sorted(path.iterdir())] if path.is_dir() else path.read_text().split("\n\n")
    for text in texts:
        fields = dict(re.findall("^([A-Za-z-]+): (.*)$", text, re.M))
        if not fields or " installed" not in fields.get("Status", " installed"):
            continue
        name, version = fields["Package"], fields["Version"]
        escaped = version.replace("+", "%2B").replace(":", "%3A")
        source = fields.get("Source", name).split()[0]
        purl = f"pkg:deb/{values['ID']}/{name}@{escaped}?arch={fields['Architecture']}&distro={distribution}&upstream={source}"
        yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def runtime(text):
    """ONNX Runtime, from its purl and its file."""
    purl, _, file = text.partition("=")
    name, _, version = purl.rpartition("/")[2].partition("@")
    if not version or not file:
        fail(f"--onnxruntime is PURL=FILE, not {text}")
    digest = hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest()
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "cpe": f"cpe:2.3:a:microsoft:onnx_runtime:{version}:*:*:*:*:*:*:*",
        "licenses": [{"license": {"id": "MIT"}}],
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    origin = parser.add_mutually_exclusive_group(required=True)
    origin.add_argument("--crates", metavar="MANIFEST")
    origin.add_argument("--program", metavar="DOCUMENT")
    parser.add_argument("--packages", metavar="FILE|FOLDER", required=True)
    parser.add_argument("--system", metavar="OS_RELEASE", required=True)
    parser.add_argument("--onnxruntime", metavar="PURL=FILE", required=True)
    parser.add_argument("--version", help="of the image; else that of the program")
    parser.add_argument("--licenses", metavar="FOLDER", help="with --crates: where to copy licences to, which is not there yet")
    chosen = parser.parse_args()

    program, components, dependencies = (
        program_of_crates(chosen.crates, chosen.licenses) if chosen.crates else program_of_document(chosen.program)
    )
    around = [runtime(chosen.onnxruntime), *system_packages(chosen.packages, chosen.system)]
    components = sorted([*components, *around], key=lambda component: component["bom-ref"])
    for one in dependencies:
        if one["ref"] == program["bom-ref"]:
            one["dependsOn"] += [component["bom-ref"] for component in around]
    if chosen.version:
        program["version"] = chosen.version
    moment = datetime.datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", 0)), datetime.UTC)
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"), "component": program},
        "components": components,
        "dependencies": sorted(dependencies, key=lambda one: one["ref"]),
    }
    json.dump(document, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
