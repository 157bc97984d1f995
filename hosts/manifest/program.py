"""Print a manifest of a place, one JSON line per entry in path order; runs inside the toolbox, standard library only.

Paths are bytes: what is not UTF-8 is written as a backslash escape, and a backslash as two, so that nothing is lost.
What is removed while it is read is listed as vanished, by its name. The tree is listed once; several processes read
attributes and content, large files in blocks that are hashed in parallel. The last line says how much was read.
Sent over ssh as text: it must not import longshore.

With --remember, what was hashed is written to a file; with --known, a later reading takes a digest from it when the file
is provably the same: its identity is equal and was at rest 2 s before everything was flushed to disk for the earlier
reading. Only then does every later store, also one through a memory map, move the change time.
"""

import argparse
import ctypes
import gzip
import hashlib
import io
import os
import stat
import sys
import time
from collections import deque
from json.encoder import encode_basestring_ascii as quoted

BLOCK = 64 << 20
CHUNK = 1 << 20
SAMPLE = 64 << 10
FIRST, TOGETHER = 4, 512
AHEAD = 64
ALONE_S = 0.05
REST_NS = 2_000_000_000
GONE = (FileNotFoundError, NotADirectoryError)
TELLS_CHANGES = {"ext2", "ext3", "ext4", "xfs", "btrfs"}  # tmpfs, for one, does not move times at a store through a map
KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}
BUFFER = memoryview(bytearray(CHUNK))
BUFFER_AT = ctypes.addressof(ctypes.c_char.from_buffer(BUFFER))


def shown(path):
    """Return a path as text, reversibly."""
    return path.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def listed(root):
    """Yield the relative paths of everything below root, root first, each directory sorted by bytes, its entries right after it."""
    yield b"."
    waiting = [iter(names_of(root, b""))]
    while waiting:
        for relative, is_directory in waiting[-1]:
            yield relative
            if is_directory:
                waiting.append(iter(names_of(os.path.join(root, relative), relative + b"/")))
                break
        else:
            waiting.pop()


def names_of(folder, prefix):
    """Return (relative path, whether it is a directory) of a directory's entries; none of what is no directory any more."""
    try:
        with os.scandir(folder) as found:
            return sorted((prefix + entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)
    except GONE:
        return []


def order(relative):
    """Return what paths are sorted by: component by component, as bytes."""
    return relative.replace(b"/", b"\0")


class Sum128(ctypes.Structure):
    """What libxxhash returns by value. xxhash.h, XXH128_hash_t."""

    _fields_ = (("low", ctypes.c_uint64), ("high", ctypes.c_uint64))


def loaded_xxhash():
    """Return libxxhash, which rsync brings into the toolbox, or None."""
    try:
        library = ctypes.CDLL("libxxhash.so.0")
        calls = {
            "XXH3_128bits": ([ctypes.c_void_p, ctypes.c_size_t], Sum128),
            "XXH3_createState": ([], ctypes.c_void_p),
            "XXH3_freeState": ([ctypes.c_void_p], ctypes.c_int),
            "XXH3_128bits_reset": ([ctypes.c_void_p], ctypes.c_int),
            "XXH3_128bits_update": ([ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t], ctypes.c_int),
            "XXH3_128bits_digest": ([ctypes.c_void_p], Sum128),
        }
        for name, (taken, given_back) in calls.items():
            getattr(library, name).argtypes, getattr(library, name).restype = taken, given_back
    except (OSError, AttributeError):
        return None
    return library


XXHASH = loaded_xxhash()
XXH3 = "xxh3_128"


def canonical(value):
    """Return a sum as its canonical bytes. xxhash.h, XXH128_canonicalFromHash."""
    return value.high.to_bytes(8, "big") + value.low.to_bytes(8, "big")


def address(data):
    """Return what libxxhash takes as a pointer: bytes themselves, or where BUFFER lies, which every other piece is the beginning of."""
    return data if isinstance(data, bytes) else BUFFER_AT


class Xxh3:
    """XXH3 with 128 bits as hashlib's hashes are used: of several pieces one after the other."""

    def __init__(self):
        """Begin."""
        self.state = XXHASH.XXH3_createState()
        XXHASH.XXH3_128bits_reset(self.state)

    def __del__(self):
        """Give the memory back."""
        XXHASH.XXH3_freeState(self.state)

    def update(self, data):
        """Take the next piece."""
        XXHASH.XXH3_128bits_update(self.state, address(data), len(data))

    def digest(self):
        """Return the sum of all pieces."""
        return canonical(XXHASH.XXH3_128bits_digest(self.state))


def hasher(algorithm):
    """Return a hash that takes pieces."""
    return Xxh3() if algorithm == XXH3 else getattr(hashlib, algorithm)()


def hashed(algorithm, data):
    """Return the digest of what is in memory whole."""
    if algorithm == XXH3:
        return canonical(XXHASH.XXH3_128bits(address(data), len(data)))
    return getattr(hashlib, algorithm)(data).digest()


def digest(algorithm, path, start=0, length=None):
    """Return the digest of a file or of a part of it; a read that comes back short is the end."""
    taken, left = None, length
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if start:
            os.lseek(descriptor, start, os.SEEK_SET)
        while left is None or left > 0:
            wanted = BUFFER if left is None or left >= CHUNK else BUFFER[:left]
            count = os.readv(descriptor, [wanted])
            if taken is None:
                if count < len(wanted) or count == left:
                    return hashed(algorithm, wanted[:count])
                taken = hasher(algorithm)
            taken.update(wanted[:count])
            left = None if left is None else left - count
            if count < len(wanted):
                break
    finally:
        os.close(descriptor)
    return taken.digest()


def whole(algorithm, path):
    """Return the content's digest as it is in a line."""
    return f"{algorithm}:{digest(algorithm, path).hex()}"


def block(algorithm, path, start):
    """Return the digest of one block of a large file, nothing when it vanished."""
    try:
        return digest(algorithm, path, start, BLOCK)
    except GONE:
        return None


def sampled(algorithm, path, size):
    """Return the digest of the first, middle and last part of a file and its size; all of it when it is small."""
    if size <= 3 * SAMPLE:
        return whole(algorithm, path)
    parts = (digest(algorithm, path, start, SAMPLE) for start in (0, (size - SAMPLE) // 2, size - SAMPLE))
    return f"{algorithm}-sample:{hashed(algorithm, b''.join((str(size).encode(), *parts))).hex()}"


def attributes(path):
    """Return a digest over all extended attributes (ACLs are among them), empty when there are none."""
    names = os.listxattr(path, follow_symlinks=False)
    if not names:
        return ""
    taken = hashlib.sha256()
    for name in sorted(names):
        value = os.getxattr(path, name, follow_symlinks=False)
        taken.update(("%s %d " % (name, len(value))).encode() + value)
    return taken.hexdigest()[:32]


def vanished(relative):
    """Return the line of what was there when its directory was listed, and no longer when it was read."""
    return '{"path":%s,"type":"vanished"}\n' % quoted(shown(relative))


def head(path, relative, found, kind):
    """Return a line up to what is only known for files, without its end."""
    line = '{"path":%s,"type":"%s","mode":%d,"uid":%d,"gid":%d,"mtime_ns":%d,"xattrs":"%s"' % (
        quoted(shown(relative)), kind, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, found.st_mtime_ns, attributes(path),
    )  # fmt: skip
    if kind == "file":
        return line + ',"size":%d' % found.st_size
    if kind == "symlink":
        return line + ',"target":%s' % quoted(shown(os.readlink(path)))
    return line + ',"device":%d' % found.st_rdev if kind.endswith("device") else line


def identity(found):
    """Return what identifies a file as the one that was hashed."""
    return b"%d %d %d %d" % (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def looked_at(root, wanted, options):
    """Look at several entries in a worker.

    Return pieces: (lines, records) as text and bytes, or a dict for an entry that the parent completes: one of several
    names of a file, or a large file. And how many files, bytes, bytes read and digests reused.
    """
    pieces, lines, records, counts = [], [], [], [0, 0, 0, 0]
    for relative, known in wanted:
        path = root if relative == b"." else root + b"/" + relative  # root may be a single file
        try:
            found = os.lstat(path)
            kind = KINDS[stat.S_IFMT(found.st_mode)]
            line = head(path, relative, found, kind)
            content = content_of(path, found, known, options, counts) if kind == "file" else None
        except GONE:
            lines.append(vanished(relative))
            continue
        if content == "blocks" or (kind != "directory" and found.st_nlink > 1):
            pieces.append(("".join(lines), b"".join(records)))
            lines, records = [], []
            link = (found.st_dev, found.st_ino) if found.st_nlink > 1 else None
            pieces.append({"path": path, "relative": relative, "line": line, "content": content, "link": link,
                           "size": found.st_size, "identity": identity(found)})  # fmt: skip
            continue
        lines.append(line + (',"content":"%s"}\n' % content if content else "}\n"))
        if content and options["remember"]:
            records.append(record(identity(found), content, relative))
    pieces.append(("".join(lines), b"".join(records)))
    return pieces, counts


def content_of(path, found, known, options, counts):
    """Return a file's digest, from an earlier reading where it is proven to be the same; "blocks": several workers shall hash it."""
    size, algorithm = found.st_size, options["hash"]
    counts[0] += 1
    counts[1] += size
    if options["level"] == "metadata":
        return None
    if (
        known
        and known[0] == identity(found)
        and known[1].startswith(algorithm)
        and found.st_ctime_ns <= options["synced_ns"] - REST_NS
    ):
        counts[3] += 1
        return known[1]
    counts[2] += min(size, 3 * SAMPLE) if options["level"] == "sampled" else size
    if options["level"] == "sampled":
        return sampled(algorithm, path, size)
    return "blocks" if size > BLOCK else whole(algorithm, path)


def record(same, content, relative):
    """Return what is remembered of one file."""
    return b"%s %s %s\0" % (same, content.encode(), relative)


def remembered(path):
    """Yield (order, relative path, identity, digest) of an earlier reading, the moment of its flush first."""
    with open(path, "rb") as file:
        left = b""
        while chunk := file.read(CHUNK):
            *whole_ones, left = (left + chunk).split(b"\0")
            for one in whole_ones:
                fields = one.split(b" ", 5)
                yield order(fields[5]), fields[5], b" ".join(fields[:4]), fields[4].decode()


class Earlier:
    """An earlier reading, walked in parallel with the tree: both are in path order, so neither is held in memory."""

    def __init__(self, path):
        """Open what was remembered, nothing without a path or when there is no such file."""
        self.lines = remembered(path) if path and os.path.exists(path) else iter(())
        first = next(self.lines, None)
        self.synced_ns = int(first[3].partition(":")[2]) if first else 0
        self.next = next(self.lines, None)

    def of(self, relative):
        """Return (identity, digest) of a path, None when it is new."""
        wanted = order(relative)
        while self.next and self.next[0] < wanted:
            self.next = next(self.lines, None)
        return self.next[2:] if self.next and self.next[0] == wanted else None


def batches(root, earlier):
    """Yield lists of (relative path, what is known of it), each worth one job; short ones first, whose content may be all there is."""
    batch, together = [], FIRST
    for relative in listed(root):
        batch.append((relative, earlier.of(relative)))
        if len(batch) >= together:
            yield batch
            batch, together = [], min(2 * together, TOGETHER)
    yield batch


class Printer:
    """Prints what the workers saw, in path order, and completes what they could not know alone."""

    def __init__(self, out, memory, algorithm, pool):
        """Take where to print and where to remember, and who hashes blocks."""
        self.out, self.memory, self.algorithm, self.pool = out, memory, algorithm, pool
        self.links, self.counts, self.entries = {}, [0, 0, 0, 0], 0

    def prepared(self, answer):
        """Start hashing the blocks of large files as soon as they are known."""
        pieces, counts = answer
        self.counts = [mine + more for mine, more in zip(self.counts, counts)]
        for piece in pieces:
            if isinstance(piece, dict) and piece["content"] == "blocks" and piece["link"] not in self.links:
                starts = range(0, piece["size"], BLOCK)
                piece["jobs"] = [self.pool.submit(block, self.algorithm, piece["path"], start) for start in starts]
        return pieces

    def show(self, pieces):
        """Print the pieces of one batch."""
        for piece in pieces:
            lines, records = self.completed(piece) if isinstance(piece, dict) else piece
            self.entries += lines.count("\n")
            self.out.write(lines)
            if self.memory and records:
                self.memory.write(records)

    def completed(self, piece):
        """Return line and record of a large file, or of one of several names of a file: the first has the content."""
        first = self.links.get(piece["link"]) if piece["link"] else None
        content = first[1] if first else piece["content"]
        if content == "blocks":
            content = self.joined(piece.get("jobs", ()))
            if content is None:
                return vanished(piece["relative"]), b""
        line = piece["line"]
        if piece["link"]:
            named = self.links.setdefault(piece["link"], (quoted(shown(piece["relative"])), content))
            line += ',"linked_to":%s' % named[0]
        known = record(piece["identity"], content, piece["relative"]) if content else b""
        return line + (',"content":"%s"}\n' % content if content and not first else "}\n"), known

    def joined(self, jobs):
        """Return the digest over the digests of a file's blocks, None when one vanished."""
        sums = [job.result() for job in jobs]
        return None if None in sums else f"{self.algorithm}-64m:{hashed(self.algorithm, b''.join(sums)).hex()}"

    def end(self):
        """Print the last line: all of it was printed, and so much was read."""
        files, size, read, reused = self.counts
        self.out.write(
            '{"end":true,"entries":%d,"files":%d,"bytes":%d,"read":%d,"reused":%d}\n'
            % (self.entries, files, size, read, reused)
        )


def print_manifest(root, out, pool, known="", remember="", level="full", algorithm="sha256"):
    """Print the manifest of root."""
    earlier = Earlier(known if known and tells_changes(root) else "")
    synced_ns = flush(root) if remember else 0
    options = {"level": level, "hash": algorithm, "remember": bool(remember), "synced_ns": earlier.synced_ns}
    memory = open(remember + ".part", "wb") if remember else None
    if memory:
        memory.write(b"0 0 0 0 synced:%d .\0" % synced_ns)
    printer, looking, ready = Printer(out, memory, algorithm, pool), deque(), deque()
    for batch in batches(root, earlier):
        looking.append(pool.submit(looked_at, root, batch, options))
        while len(looking) > AHEAD or (looking and looking[0].done()):
            ready.append(printer.prepared(looking.popleft().result()))
            if len(ready) > 1:
                printer.show(ready.popleft())
    while looking or ready:
        if looking:
            ready.append(printer.prepared(looking.popleft().result()))
        if len(ready) > 1 or not looking:
            printer.show(ready.popleft())
    printer.end()
    if memory:
        memory.close()
        os.replace(remember + ".part", remember)


class Done:
    """What is done already, asked as a future is."""

    def __init__(self, answer):
        """Take the answer."""
        self.answer = answer

    def done(self):
        """Return True."""
        return True

    def result(self):
        """Return the answer."""
        return self.answer


class Workers:
    """Work is done at once while there is little; what then remains by a process for each processor: starting them takes ALONE_S."""

    def __init__(self):
        """Start nothing yet."""
        self.pool, self.spent = None, 0.0

    def submit(self, work, *words):
        """Return a future of work."""
        if self.pool is None and self.spent < ALONE_S:
            began = time.perf_counter()
            answer = Done(work(*words))
            self.spent += time.perf_counter() - began
            return answer
        if self.pool is None:
            from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415 takes as long as reading a thousand files
            from multiprocessing import get_context  # noqa: PLC0415

            self.pool = ProcessPoolExecutor(max_workers=len(os.sched_getaffinity(0)), mp_context=get_context("fork"))
        return self.pool.submit(work, *words)

    def close(self):
        """End the processes."""
        if self.pool:
            self.pool.shutdown()


def flush(root):
    """Write the file system's dirty pages to disk, so that later stores move times again; return when that began, in ns."""
    began = time.time_ns()
    descriptor = os.open(root, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            raise OSError(ctypes.get_errno(), "syncfs")
    finally:
        os.close(descriptor)
    return began


def tells_changes(root, table="/proc/self/mountinfo"):
    """Return whether the file system is one on which each store into a page at rest moves the file's times."""
    device = os.lstat(root).st_dev
    wanted = "%d:%d" % (os.major(device), os.minor(device))
    with open(table, encoding="utf-8", errors="surrogateescape") as lines:
        kinds = {line.partition(" - ")[2].split()[0] for line in lines if line.split()[2] == wanted}
    return bool(kinds) and kinds <= TELLS_CHANGES


def packed(stream):
    """Return a text stream that gzips into a binary one: a million lines are 200 MB plain, a fourth packed."""
    return io.TextIOWrapper(gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1), encoding="ascii", newline="\n")


def speeds():
    """Return how many MB/s this machine hashes with each algorithm that is safe and fast somewhere."""
    found = {}
    for algorithm in ("sha256", "blake2b", "sha512", *([XXH3] if XXHASH else [])):
        began = time.perf_counter()
        for _ in range(16):
            hashed(algorithm, BUFFER)
        found[algorithm] = round(16 * CHUNK / 1e6 / (time.perf_counter() - began), 1)
    return found


def arguments():
    """Return the words of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root", nargs="?", default="/data")
    parser.add_argument("--gzip", action="store_true")
    parser.add_argument("--known", default="")
    parser.add_argument("--remember", default="")
    parser.add_argument("--level", default="full", choices=("metadata", "sampled", "full"))
    parser.add_argument("--hash", default="sha256")
    parser.add_argument("--speeds", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    if given.speeds:
        print(" ".join("%s=%s" % item for item in speeds().items()))
        sys.exit(0)
    stream = (
        packed(sys.stdout.buffer) if given.gzip else io.TextIOWrapper(sys.stdout.buffer, encoding="ascii", newline="\n")
    )
    workers = Workers()
    print_manifest(os.fsencode(given.root), stream, workers, given.known, given.remember, given.level, given.hash)
    workers.close()
    stream.close()
