"""Play MinIO's server process: SeaweedFS keeps the objects below /data, this program answers where MinIO has answers of its own.

`minio server /data [--console-address :9001]`. On 9000 a connection whose first request asks for /minio/health/* is answered here
(docs: "Healthcheck API": live 200; cluster 200 or 503), every other one is passed on byte by byte, so that S3 signatures stay
right. On 9001, where MinIO has its console, a page says that there is none.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request

API, CONSOLE, INNER = 9000, 9001, 8333
GRACE_S = 4
"""SeaweedFS' parts wait 15 s for each other when they end together; by then all that was acknowledged is in its files."""


def start_weed(folder):
    """Start SeaweedFS bound to loopback, keeping all its state below the data folder; it sends nothing to anybody."""
    meta = os.path.join(folder, ".weed")
    os.makedirs(meta, exist_ok=True)
    with open(os.path.join(meta, "filer.toml"), "w") as file:
        file.write(f'[leveldb2]\nenabled = true\ndir = "{meta}/filer"\n')
    env = dict(
        os.environ,
        AWS_ACCESS_KEY_ID=os.environ["MINIO_ROOT_USER"],
        AWS_SECRET_ACCESS_KEY=os.environ["MINIO_ROOT_PASSWORD"],
    )
    return subprocess.Popen(
        [
            "weed",
            "-logtostderr=true",
            "-v=0",
            "server",
            f"-dir={folder}",
            f"-master.dir={meta}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-master.telemetry=false",
            "-master.electionTimeout=1s",  # it elects itself: ten seconds of silence first are for clusters
            "-master.volumeSizeLimitMB=64",
            "-volume.max=0",
            "-volume.minFreeSpace=1",
            "-volume.preStopSeconds=0",
            "-filer=true",
            "-s3=true",
            f"-s3.port={INNER}",
            "-s3.iam.readOnly=false",
        ],
        env=env,
        cwd=meta,
    )


def is_live():
    """Return whether the S3 gateway answers and has a place for objects; it joins some seconds after the start."""
    try:
        with (
            urllib.request.urlopen(f"http://127.0.0.1:{INNER}/healthz", timeout=2),
            urllib.request.urlopen("http://127.0.0.1:9333/dir/status", timeout=2) as answer,
        ):
            return bool(json.load(answer)["Topology"]["DataCenters"])
    except (urllib.error.URLError, OSError, KeyError, ValueError):
        return False


def answer_health(client):
    live = is_live()
    client.sendall(
        f"HTTP/1.1 {'200 OK' if live else '503 Service Unavailable'}\r\nServer: MinIO\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
    )


def answer_console(client):
    body = b"stand-in for MinIO (SeaweedFS): it has no console\n"
    head = f"HTTP/1.1 200 OK\r\nServer: MinIO Console\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    client.sendall(head.encode() + body)


def serve_console(client):
    if first_bytes(client):
        answer_console(client)


def serve_api(client):
    first = first_bytes(client)
    if not first:
        return
    words = first.split(b" ", 2)
    if len(words) > 1 and words[1].startswith(b"/minio/health/"):
        answer_health(client)
        return
    with socket.create_connection(("127.0.0.1", INNER), timeout=10) as server:
        server.settimeout(None)
        server.sendall(first)
        back = threading.Thread(target=copy, args=(server, client), daemon=True)
        back.start()
        copy(client, server)
        back.join()


def first_bytes(client):
    """Return what the client says first: at least the request line, with all that came along."""
    seen = b""
    while b"\r\n" not in seen and len(seen) < 65536:
        more = client.recv(65536)
        if not more:
            break
        seen += more
    return seen


def copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    try:
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def listen(port, serve):
    server = socket.create_server(("", port), backlog=256)

    def one(client):
        with client:
            try:
                serve(client)
            except OSError:
                pass

    while True:
        client, _ = server.accept()
        threading.Thread(target=one, args=(client,), daemon=True).start()


def main(argv):
    folder = argv[2] if len(argv) > 2 and argv[1] == "server" else "/data"
    weed = start_weed(folder)

    ending = threading.Event()

    def end(*_):
        ending.set()
        weed.send_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    for port, serve in ((API, serve_api), (CONSOLE, serve_console)):
        threading.Thread(target=listen, args=(port, serve), daemon=True).start()
    print(f"MinIO stand-in (SeaweedFS): API on {API}, data in {folder}", flush=True)
    while not ending.wait(0.2) and weed.poll() is None:
        pass
    return finish(weed) if ending.is_set() else weed.returncode


def finish(weed):
    """Give SeaweedFS its grace, then end it; return 0, as MinIO does after SIGTERM."""
    try:
        weed.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        weed.kill()
        weed.wait()
    print("MinIO stand-in: stopped", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
