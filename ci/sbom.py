"""Writes the bill of materials of kadr for ci/deps, by cyclonedx-python-lib: sbom.py OUT BINARY.

From Cargo's own words come the crates that are linked (no macros, no build scripts, no tests), from the binary's the FFmpeg
libraries. A shared library that the binary needs beyond these, the C library and the loader fails. Prints the figures of the last
line.
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

# The C library, the compiler's, the loader; the rest comes with a lean FFmpeg (`ci/bundle`).
SYSTEM = re.compile(r"(libc|libm|libgcc_s|libstdc\+\+|libpthread|libdl|librt|ld-linux[-\w]*|libSvtAv1Enc|libdav1d)\.so\.\d+")


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def licence(words):
    return [LicenseFactory().make_from_string(words.replace("/", " OR "))] if words else []


def crates():
    """Component by package id of what is linked, kadr first, and the edges between them."""
    metadata = json.loads(run("cargo", "metadata", "--locked", "--format-version", "1"))
    # As a build resolves it: metadata alone has every optional crate of every platform.
    listed = run("cargo", "tree", "--locked", "-e", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}")
    linked = {tuple(line.split()[:2]) for line in listed.splitlines() if line}
    locked = tomllib.loads(pathlib.Path("Cargo.lock").read_text())["package"]
    sums = {(package["name"], package["version"]): package.get("checksum") for package in locked}
    found = {}
    for package in metadata["packages"]:
        name, version = package["name"], package["version"]
        if (name, "v" + version) not in linked:
            continue
        own = package["id"] == metadata["resolve"]["root"]
        purl = PackageURL("cargo", name=name, version=version)
        checksum = sums[name, version]
        found[package["id"]] = Component(
            name=name,
            version=version,
            type=ComponentType.APPLICATION if own else ComponentType.LIBRARY,
            licenses=licence(package["license"]),
            purl=purl,
            bom_ref=str(purl),
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checksum)] if checksum else [],
        )
        if name == "libsqlite3-sys":
            sqlite = pathlib.Path(package["manifest_path"]).parent / "sqlite3" / "sqlite3.h"
    if len(found) != len(linked):
        sys.exit(f"{len(linked)} crates are linked, and {len(found)} of them found")
    edges = {
        node["id"]: [each["pkg"] for each in node["deps"] if each["pkg"] in found]
        for node in metadata["resolve"]["nodes"]
        if node["id"] in found
    }
    # Compiled into its crate.
    version = re.search(r'#define SQLITE_VERSION\s+"([^"]+)"', sqlite.read_text())[1]
    return found, edges, metadata["resolve"]["root"], library("sqlite", version, "blessing")


def library(name, version, words, description=None):
    purl = PackageURL("generic", name=name, version=version)
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        licenses=licence(words),
        purl=purl,
        bom_ref=str(purl),
        description=description,
    )


def ffmpeg(binary):
    """The libraries of FFmpeg with their release and terms, as the binary says them itself: they may be inside it."""
    says = json.loads(run(binary, "doctor", "--json", "--device", "cpu").splitlines()[0])
    configuration = says["configuration"].split()
    gpl, third = "--enable-gpl" in configuration, "--enable-version3" in configuration
    if "--enable-nonfree" in configuration:
        sys.exit("this FFmpeg is built with --enable-nonfree: a binary linked with it may not be handed on")
    if gpl:
        terms = "GPL-3.0-or-later" if third else "GPL-2.0-or-later"
    else:
        terms = "LGPL-3.0-or-later" if third else "LGPL-2.1-or-later"
    found = []
    for words in says["built_with"].split(", "):
        name, version = words.split()
        component = library(name, version, terms, f"of FFmpeg {says['release']}")
        component.properties.add(Property(name="kadr:ffmpeg:configuration", value=says["configuration"]))
        found.append(component)
    return found, f"{len(found)} libraries of FFmpeg {says['release']} ({terms})"


def check_needed(binary, av):
    named = re.findall(r"\(NEEDED\).*\[(.+)\]", run("readelf", "--dynamic", "--wide", binary))
    chosen = {component.name for component in av}
    strange = [name for name in named if not SYSTEM.fullmatch(name) and name.split(".so")[0] not in chosen]
    if strange:
        sys.exit(f"{binary} needs libraries that nobody chose: {', '.join(strange)}")


def main(out, binary):
    found, edges, root, sqlite = crates()
    av, said = ffmpeg(binary)
    check_needed(binary, av)
    bom = Bom()
    bom.metadata.component = found[root]
    for ident, component in found.items():
        if ident != root:
            bom.components.add(component)
    others = [sqlite, *av]
    bom.components.update(others)
    by_name = {component.name: component for component in found.values()}
    holder = {sqlite.bom_ref: by_name["libsqlite3-sys"]}
    holder.update({component.bom_ref: by_name["ffmpeg-sys-next"] for component in av})
    for ident, component in found.items():
        below = [found[other].bom_ref for other in edges[ident]]
        below += [other.bom_ref for other in others if holder[other.bom_ref] is component]
        bom.dependencies.add(Dependency(component.bom_ref, [Dependency(ref) for ref in below]))
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault:
        sys.exit(f"not valid by the schema of CycloneDX: {fault}")
    pathlib.Path(out).write_text(text + "\n")
    words = [getattr(each, "value", None) or each.id or each.name for one in bom.components for each in one.licenses]
    licences = {part for each in words for part in re.split(r" OR | AND ", each.replace("(", "").replace(")", ""))}
    print(
        f"{len(found) - 1} crates, {len(licences)} licences, {said}, "
        f"{len(bom.components)} components valid by CycloneDX 1.6"
    )


main(*sys.argv[1:])
