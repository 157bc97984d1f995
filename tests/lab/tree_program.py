"""Grow two trees from a description, copy one over the other between changes, print both manifests; runs inside the toolbox.

Standard input: {"steps": [[entry, …], …], "rsync": [words], "where_linked": [words once files of the target have further names]}. An entry of kind "gone" removes what is there. Each step is
followed by a pass. Sent to the container as text: it must not import anything of ours.
"""

import base64
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys

SOURCE, TARGET = b"/trees/source", b"/trees/target"
WAY = "/tmp/way-to-target"


def remove(path):
    """Remove what is there, whatever it is."""
    if os.path.islink(path) or not os.path.isdir(path):
        if os.path.lexists(path):
            os.unlink(path)
    else:
        shutil.rmtree(path)


def make_room(path):
    """Make every folder above a path; a file in the way gives way."""
    above = SOURCE
    for part in path.removeprefix(SOURCE + b"/").split(b"/")[:-1]:
        above += b"/" + part
        if os.path.islink(above) or (os.path.lexists(above) and not os.path.isdir(above)):
            os.unlink(above)
        if not os.path.isdir(above):
            os.mkdir(above)


def content(entry):
    """Return bytes that depend on the seed, as many as wanted."""
    block = hashlib.sha256(b"%d" % entry["seed"]).digest()
    return (block * (entry["size"] // len(block) + 1))[: entry["size"]]


def make(path, entry, files):
    """Make one entry."""
    kind = entry["kind"]
    if kind == "folder":
        if os.path.islink(path) or not os.path.isdir(path):
            remove(path)
            os.mkdir(path)
        return
    remove(path)
    if kind == "hard link" and files:
        os.link(files[entry["seed"] % len(files)], path)
    elif kind in {"file", "hard link"}:
        with open(path, "wb") as file:
            file.write(content(entry))
    elif kind == "sparse file":
        with open(path, "wb") as file:
            file.seek(1 << 20)
            file.write(content(entry))
            file.truncate(3 << 20)
    elif kind == "symlink":
        os.symlink(b"nowhere/\xff" if entry["seed"] % 2 else b"..", path)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    elif kind == "device":
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))


def dress(path, entry):
    """Give an entry owner, mode, attributes, access list and time."""
    if not os.path.lexists(path):
        return
    link = os.path.islink(path)
    os.chown(path, entry["uid"], entry["gid"], follow_symlinks=False)
    if not link:
        os.chmod(path, entry["mode"])
    plain = not link and (os.path.isdir(path) or stat.S_ISREG(os.lstat(path).st_mode))
    if plain and entry["attribute"]:
        os.setxattr(path, "user.longshore", entry["attribute"].encode())
        os.setxattr(path, "trusted.longshore", entry["attribute"].encode())
    if plain and entry["access"]:
        subprocess.run(["setfacl", "-m", f"u:{entry['access']}:rx", path], check=True)
    os.utime(path, ns=(entry["mtime_ns"], entry["mtime_ns"]), follow_symlinks=False)


def grow(entries):
    """Apply one step's entries to the source; times last, the deepest first, so that none is moved by another."""
    files, made = [], []
    for entry in entries:
        path = SOURCE + b"/" + base64.b64decode(entry["path"])
        if entry["kind"] == "gone":
            remove(path)
            continue
        make_room(path)
        make(
            path,
            entry,
            [file for file in files if file != path and os.path.lexists(file) and stat.S_ISREG(os.lstat(file).st_mode)],
        )
        files += [path] if entry["kind"] == "file" else []
        made.append((path, entry))
    for path, entry in sorted(made, key=lambda item: -item[0].count(b"/")):
        dress(path, entry)
    os.utime(SOURCE, ns=(10**18, 10**18))


def make_way():
    """Write what stands for ssh: the other end is the confined rsync that a move's key is forced to."""
    with open(WAY, "w") as file:
        file.write('#!/bin/sh\nshift\nexport SSH_ORIGINAL_COMMAND="$*"\nexec rrsync -wo -no-lock /\n')
    os.chmod(WAY, 0o755)


def has_links(root):
    """Return whether a file below has further names."""
    found = subprocess.run(
        ["find", root, "-type", "f", "-links", "+1", "-print", "-quit"], capture_output=True, check=True
    )
    return bool(found.stdout)


def main():
    """Grow, copy, and print."""
    given = json.load(sys.stdin)
    make_way()
    for root in (SOURCE, TARGET):
        shutil.rmtree(root, ignore_errors=True)
        os.makedirs(root)
    for entries in given["steps"]:
        grow(entries)
        words = given["where_linked"] if has_links(TARGET) else given["rsync"]
        subprocess.run(
            ["rsync", *words, "-e", WAY, SOURCE + b"/", b"target:" + TARGET + b"/"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        for root in (SOURCE, TARGET):
            sys.stdout.flush()
            subprocess.run(["python3", "/tmp/manifest_program.py", root, "--hash", "xxh3_128"], check=True)
        print(json.dumps({"blocks": [blocks(root) for root in (SOURCE, TARGET)]}), flush=True)


def blocks(root):
    """Return how much disk a tree's files take."""
    return sum(os.lstat(os.path.join(folder, name)).st_blocks for folder, _, names in os.walk(root) for name in names)


main()
