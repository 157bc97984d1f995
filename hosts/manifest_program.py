"""Print a manifest of /data, one JSON line per entry in path order; runs inside the toolbox, standard library only.

Paths are bytes: what is not UTF-8 is written as a backslash escape, and a backslash as two, so that nothing is lost.
What is removed while it is read is listed as vanished, by its name. With the word gzip after the root the output is gzipped.
Content is hashed by several processes, large files in large reads. Sent over ssh as text: it must not import longshore.
"""

import gzip
import hashlib
import io
import json
import os
import stat
import sys
from concurrent.futures import ProcessPoolExecutor

CHUNK = 4 << 20
TOGETHER = 256
GONE = (FileNotFoundError, NotADirectoryError)
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
    """Yield (relative path, lstat) of everything below root, root first, each directory sorted by bytes; None for lstat: vanished."""
    found = os.lstat(root)
    yield b".", found
    if stat.S_ISDIR(found.st_mode):
        yield from below(root, sorted(os.listdir(root)), b"")


def below(folder, names, prefix):
    """Yield the entries of one directory, a directory's own entries right after it."""
    for name in names:
        path, relative = os.path.join(folder, name), prefix + name
        try:
            found = os.lstat(path)
            inner = sorted(os.listdir(path)) if stat.S_ISDIR(found.st_mode) else []
        except GONE:
            found, inner = None, []
        yield relative, found
        yield from below(path, inner, relative + b"/") if inner else ()


def digest(path):
    """Return the SHA-256 of a file's content, None when it vanished."""
    taken = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            while block := file.read(CHUNK):
                taken.update(block)
    except GONE:
        return None
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


def vanished(path):
    """Return the line of what was there when its directory was listed, and no longer when it was read."""
    return {"path": path, "type": "vanished"}


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
        try:
            line = entry(root, relative, found, links) if found else vanished(shown(relative))
        except GONE:
            line = vanished(shown(relative))
        batch.append((line, path))
        size += line.get("size", 0)
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
        if sha256 is None:
            gone = vanished(line["path"])
            line.clear()
            line.update(gone)
        else:
            line["sha256"] = sha256
    sys.stdout.write("".join(json.dumps(line, separators=(",", ":"), ensure_ascii=True) + "\n" for line, _ in batch))


def packed(stream):
    """Return a text stream that gzips into a binary one: a million lines are 200 MB plain, a fourth packed."""
    return io.TextIOWrapper(gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1), encoding="ascii", newline="\n")


if __name__ == "__main__":
    if sys.argv[2:] == ["gzip"]:
        sys.stdout = packed(sys.stdout.buffer)
    main(os.fsencode(sys.argv[1]))
    sys.stdout.write('{"end":true}\n')
    sys.stdout.close()
