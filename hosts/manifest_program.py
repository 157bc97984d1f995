"""Print a manifest of /data, one JSON line per entry in path order; runs inside the toolbox, standard library only.

Paths are bytes: what is not UTF-8 is written as a backslash escape, and a backslash as two, so that nothing is lost.
Content is hashed by several processes, large files in large reads. Sent over ssh as text: it must not import longshore.
"""

import hashlib
import json
import os
import stat
import sys
from concurrent.futures import ProcessPoolExecutor

CHUNK = 4 << 20
TOGETHER = 256
KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


def shown(path):
    """Return a path as text, reversibly."""
    return path.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def walk(root):
    """Yield (relative path, lstat) of everything below root, root first, each directory sorted by bytes."""
    yield b".", os.lstat(root)
    if os.path.isdir(root):
        yield from below(root, b"")


def below(folder, prefix):
    """Yield the entries of one directory, a directory's own entries right after it."""
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        found = os.lstat(path)
        relative = prefix + name
        yield relative, found
        if stat.S_ISDIR(found.st_mode):
            yield from below(path, relative + b"/")


def digest(path):
    """Return the SHA-256 of a file's content."""
    taken = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(CHUNK):
            taken.update(block)
    return taken.hexdigest()


def digests(paths):
    """Return the digests of several files."""
    return [digest(path) for path in paths]


def attributes(path):
    """Return a digest over all extended attributes (ACLs are among them), empty when there are none."""
    names = sorted(os.listxattr(path, follow_symlinks=False))
    if not names:
        return ""
    taken = hashlib.sha256()
    for name in names:
        value = os.getxattr(path, name, follow_symlinks=False)
        taken.update(("%s %d " % (name, len(value))).encode() + value)
    return taken.hexdigest()[:32]


def entry(root, relative, found, links):
    """Return everything but the content of one entry."""
    path = root if relative == b"." else os.path.join(root, relative)
    kind = KINDS[stat.S_IFMT(found.st_mode)]
    line = {
        "path": shown(relative),
        "type": kind,
        "mode": stat.S_IMODE(found.st_mode),
        "uid": found.st_uid,
        "gid": found.st_gid,
        "mtime_ns": found.st_mtime_ns,
        "xattrs": attributes(path),
    }
    if kind == "file":
        line["size"] = found.st_size
    if kind == "symlink":
        line["target"] = shown(os.readlink(path))
    if kind.endswith("device"):
        line["device"] = found.st_rdev
    if kind != "directory" and found.st_nlink > 1:
        line["linked_to"] = links.setdefault((found.st_dev, found.st_ino), line["path"])
    return line


def batches(root):
    """Yield lists of entries whose files are worth one job: many small ones, or one large one."""
    links, batch, size = {}, [], 0
    for relative, found in walk(root):
        path = root if relative == b"." else os.path.join(root, relative)  # root may be a single file
        batch.append((entry(root, relative, found, links), path))
        size += found.st_size if stat.S_ISREG(found.st_mode) else 0
        if len(batch) >= TOGETHER or size >= CHUNK * 4:
            yield batch
            batch, size = [], 0
    yield batch


def files_of(batch):
    """Return the entries of a batch whose content is to be read: each group of hard links once."""
    return [(line, path) for line, path in batch if line["type"] == "file" and line.get("linked_to", line["path"]) == line["path"]]


def main(root):
    """Print the manifest of root."""
    with ProcessPoolExecutor() as pool:
        waiting = []
        for batch in batches(root):
            waiting.append((batch, pool.submit(digests, [path for _, path in files_of(batch)])))
            if len(waiting) > 64:
                show(waiting.pop(0))
        for one in waiting:
            show(one)


def show(one):
    """Print one batch when its digests are there."""
    batch, future = one
    for (line, _), sha256 in zip(files_of(batch), future.result()):
        line["sha256"] = sha256
    sys.stdout.write("".join(json.dumps(line, separators=(",", ":"), ensure_ascii=True) + "\n" for line, _ in batch))


if __name__ == "__main__":
    main(os.fsencode(sys.argv[1]))
    sys.stdout.write('{"end":true}\n')
