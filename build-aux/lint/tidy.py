#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""tidy.py BUILD FILE... - clang-tidy on those of the files that it has not passed as they are now.

What it passed is kept in BUILD/lint/tidy, by what the compiler sees: the file with all its headers,
its flags, the checks, and clang-tidy itself.
"""
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor


def key_of(entry, common):
    """A name for what is to be checked; None where it does not even compile."""
    arguments = shlex.split(entry["command"]) if "command" in entry else list(entry["arguments"])
    for flag in ("-o", "-MF", "-MQ"):
        if flag in arguments:
            at = arguments.index(flag)
            del arguments[at : at + 2]
    arguments = [a for a in arguments if a not in ("-c", "-MD")]
    # -C: comments hold NOLINT.
    seen = subprocess.run(arguments + ["-E", "-C"], cwd=entry["directory"], capture_output=True)
    if seen.returncode != 0:
        return None
    return hashlib.sha256(common + " ".join(arguments).encode() + seen.stdout).hexdigest()


def check(build, path, entry, common, passed):
    key = key_of(entry, common)
    if key and (passed / key).exists():
        return ""
    run = subprocess.run(["clang-tidy", "--quiet", "-p", build, "--warnings-as-errors=*", path],
                         capture_output=True, text=True)
    if run.returncode != 0:
        return run.stdout or run.stderr
    if key:
        (passed / key).touch()
    return ""


def main():
    build, *paths = sys.argv[1:]
    passed = pathlib.Path(build, "lint", "tidy")
    passed.mkdir(parents=True, exist_ok=True)
    common = pathlib.Path(".clang-tidy").read_bytes() + subprocess.run(
        ["clang-tidy", "--version"], capture_output=True, check=True).stdout
    entries = {}
    for entry in json.loads(pathlib.Path(build, "compile_commands.json").read_text()):
        entries.setdefault(os.path.realpath(os.path.join(entry["directory"], entry["file"])), entry)
    missing = [path for path in paths if os.path.realpath(path) not in entries]
    for path in missing:
        print(f"{path}: is not built, so it cannot be checked")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        texts = list(pool.map(
            lambda path: check(build, path, entries[os.path.realpath(path)], common, passed),
            [path for path in paths if path not in missing]))
    print("".join(texts), end="")
    sys.exit(bool(missing) or any(texts))


main()
