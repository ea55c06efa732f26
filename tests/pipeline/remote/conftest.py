"""Artifacts to move, a real sshd, a real S3 API server, and a wire between that can be cut; all on loopback."""

import os
import pwd
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

from pipeline import recipe as recipes
from pipeline.facts import facts
from pipeline.plan import Planner, State, input_folders
from pipeline.run import describe
from pipeline.stage import Outputs
from pipeline.store.store import Artifact, Store

LOOPBACK = "127.0.0.1"
TEACHER_BYTES = 6_000_000
TIMEOUT_S = 90
USER = pwd.getpwuid(os.geteuid()).pw_name


class Fabric:
    """Makes artifacts under real keys, of files with arbitrary content."""

    def __init__(self, pipeline) -> None:
        self.pipeline = pipeline

    def planner(self, home: Path, **changes: str) -> Planner:
        """The planner of `pipeline(verb, home, **changes)`."""
        settings = [f"{name}={value}" for name, value in self.pipeline.settings(**changes).items()]
        return Planner(recipes.load("quickstart", settings), Store(home), facts())

    def publish(self, planner: Planner, stage: str, salt: str = "", log: str = "made here") -> Artifact:
        """Publish an artifact of a stage whose inputs are there; equal salts give equal digests."""
        statuses = planner.statuses()
        work = planner.store.new_work_folder()
        size = TEACHER_BYTES if stage == "teacher" else 1000
        (work / "model.safetensors").write_bytes(random.Random(stage + salt).randbytes(size))
        (work / "images").mkdir()
        (work / "images" / "größe 1.png").write_bytes(b"picture")
        (work / "empty.txt").touch()
        (work / "log.txt").write_text(log)
        inputs = input_folders(statuses[stage], statuses)
        manifest = describe(planner, statuses[stage], inputs, Outputs({"figure": 0.5}), seconds=1.0)
        return planner.store.publish(work, manifest, {"log.txt"})

    def stock(self, home: Path, *stages: str, **changes: str) -> Path:
        """A home with artifacts of these stages, which follow one another."""
        planner = self.planner(home, **changes)
        for stage in stages:
            self.publish(planner, stage)
        return home

    def states(self, home: Path, **changes: str) -> dict[str, State]:
        """State of each stage."""
        return {name: status.state for name, status in self.planner(home, **changes).statuses().items()}


@pytest.fixture(scope="session")
def fabric(pipeline) -> Fabric:
    """Makes artifacts without training anything."""
    return Fabric(pipeline)


@pytest.fixture(scope="session")
def stocked(fabric: Fabric, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home with artifacts of data, teacher, position and distill under the tiny settings; not to be changed."""
    return fabric.stock(tmp_path_factory.mktemp("stocked"), "data", "teacher", "position", "distill")


@pytest.fixture(scope="session")
def command(pipeline) -> Callable[..., subprocess.Popen[str]]:
    """`command(environment, "push", home, ...)`: a started process of the command line."""

    def start(environment: dict[str, str], verb: str, home: Path, *arguments: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "pipeline", *pipeline.words(verb, home, *arguments)]
        pipe = subprocess.PIPE
        return subprocess.Popen(words, cwd=pipeline.root, env=environment, stdout=pipe, stderr=pipe, text=True)

    return start


@pytest.fixture(scope="session")
def done(command: Callable[..., subprocess.Popen[str]]) -> Callable[..., tuple[int, str, str]]:
    """`done(environment, "push", home, ...)`: (exit code, stdout, stderr) of the command line."""

    def run(environment: dict[str, str], verb: str, home: Path, *arguments: str) -> tuple[int, str, str]:
        with command(environment, verb, home, *arguments) as process:
            try:
                stdout, stderr = process.communicate(timeout=TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                stdout, stderr = process.communicate()
                pytest.fail(f"{verb} hangs: {stderr}")
        return process.returncode, stdout, stderr

    return run


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(command: list[str | Path], port: int, log: Path) -> Iterator[None]:
    """A server on a port for the length of the block; fails with what it said where it does not start."""
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            deadline = time.monotonic() + TIMEOUT_S
            while not listens(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"{command[0]} does not start: {log.read_text()}")
                time.sleep(0.05)
            yield
        finally:
            process.terminate()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


@dataclass(frozen=True)
class Sshd:
    """A running sshd and the home folder of a user whom it lets in."""

    port: int
    user_home: Path
    host_key: str
    """The server's public key."""

    @property
    def environment(self) -> dict[str, str]:
        """Environment of a process that is that user, without an agent."""
        kept = {name: value for name, value in os.environ.items() if name not in ("SSH_AUTH_SOCK", "PIPELINE_STORE")}
        return kept | {"HOME": str(self.user_home)}

    def url(self, folder: Path, port: int | None = None) -> str:
        return f"sftp://{USER}@{LOOPBACK}:{port or self.port}{folder}"

    def trust(self, port: int, user_home: Path | None = None) -> None:
        """Write the host key into known_hosts, as seen through a port."""
        path = (user_home or self.user_home) / ".ssh" / "known_hosts"
        with path.open("a") as file:
            file.write(f"[{LOOPBACK}]:{port} {self.host_key}\n")


def make_key(path: Path) -> str:
    """Write a key pair; returns the public key."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """OpenSSH's server on a high port, with keys and configuration of its own in a temporary folder."""
    program = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if program is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no sshd here: apt-get install openssh-server")
    if find_spec("paramiko") is None:
        pytest.skip("no paramiko here: pip install -e '.[sftp]'")
    if os.geteuid() == 0:
        # Where sshd is started by root it wants this folder, which its service would make.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    folder = tmp_path_factory.mktemp("sshd")
    user_home = tmp_path_factory.mktemp("user")
    (user_home / ".ssh").mkdir(mode=0o700)
    host_key = make_key(folder / "host_key")
    (folder / "authorized_keys").write_text(make_key(user_home / ".ssh" / "id_ed25519") + "\n")
    port = free_port()
    settings = {
        "Port": port,
        "ListenAddress": LOOPBACK,
        "HostKey": folder / "host_key",
        "AuthorizedKeysFile": folder / "authorized_keys",
        "PidFile": folder / "pid",
        "StrictModes": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "Subsystem": f"sftp internal-sftp -d {user_home}",
    }
    (folder / "config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    with serving([program, "-D", "-e", "-f", folder / "config"], port, folder / "log"):
        server = Sshd(port, user_home, host_key)
        server.trust(port)
        yield server


@dataclass(frozen=True)
class S3:
    """An S3 API server with a bucket `models`."""

    port: int

    @property
    def environment(self) -> dict[str, str]:
        """Environment of a process that talks to this server and to no other."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PIPELINE_STORE"))}
        return kept | {
            "AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{self.port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def request(self, method: str, path: str) -> bytes:
        """A plain HTTP request; the server lets strangers make buckets and list them."""
        request = urllib.request.Request(f"http://{LOOPBACK}:{self.port}/{path}", method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            content: bytes = answer.read()
            return content


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """moto's server: the S3 API over HTTP, in memory."""
    for package in ("moto", "flask", "s3fs"):
        if find_spec(package) is None:
            pytest.skip(f"no {package} here: pip install -e '.[test]'")
    port = free_port()
    command: list[str | Path] = [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)]
    with serving(command, port, tmp_path_factory.mktemp("s3") / "log"):
        server = S3(port)
        server.request("PUT", "models")
        yield server


@dataclass
class Wire:
    """Forwards connections to a port until `limit` bytes went one way; then it holds still, or is cut for good."""

    target: int
    limit: int
    upwards: bool
    """Whether the bytes to the server count, or those from it."""
    cut: bool
    port: int = 0
    full: threading.Event = field(default_factory=threading.Event)
    moved: int = 0
    sockets: list[socket.socket] = field(default_factory=list)

    def start(self) -> None:
        listener = socket.create_server((LOOPBACK, 0))
        self.port = listener.getsockname()[1]
        self.sockets.append(listener)
        threading.Thread(target=self.accept, args=(listener,), daemon=True).start()

    def accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection((LOOPBACK, self.target))
            except OSError:
                return
            self.sockets += [near, far]
            for source, sink, counted in ((near, far, self.upwards), (far, near, not self.upwards)):
                threading.Thread(target=self.forward, args=(source, sink, counted), daemon=True).start()

    def forward(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        try:
            while chunk := source.recv(4096):
                if counted:
                    self.moved += len(chunk)
                if self.moved > self.limit:
                    self.full.set()
                    if self.cut:
                        self.close()
                    return
                sink.sendall(chunk)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def close(self) -> None:
        for each in self.sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.fixture
def wire() -> Iterator[Callable[..., Wire]]:
    """`wire(port, limit, upwards=True, cut=True)`: a wire to a port of this machine."""
    wires = []

    def make(target: int, limit: int, upwards: bool, cut: bool) -> Wire:
        made = Wire(target, limit, upwards, cut)
        made.start()
        wires.append(made)
        return made

    yield make
    for each in wires:
        each.close()
