"""SFTP that talks only to hosts whose key is known, as `ssh` itself does.

fsspec's own file system takes any key that a new host shows. Here a key must stand in a known_hosts file before the
first byte is sent; `ssh HOST`, once, shows its fingerprint and puts it there. `~/.ssh/config` is read for HostName,
Port, User, IdentityFile and UserKnownHostsFile. Authentication is by key or agent, never by password.
"""

import base64
import getpass
import hashlib
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paramiko  # type: ignore[import-untyped]
from fsspec.implementations.sftp import SFTPFileSystem  # type: ignore[import-untyped]

from pipeline.errors import RemoteError

PORT = 22
CONNECT_S = 15
SILENCE_S = 60
"""A transfer that hears nothing for so long has failed."""
SYSTEM_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")
KNOWN_HOSTS = "~/.ssh/known_hosts"
NO_KEY = "No authentication methods available"
TUNNELS = ("proxyjump", "proxycommand")


class KnownHostSFTP(SFTPFileSystem):  # type: ignore[misc]
    """fsspec's SFTP file system with host keys verified and time-outs set."""

    def _connect(self) -> None:
        options = ssh_options(self.host)
        refuse_tunnel(self.host, options)
        port = int(self.ssh_kwargs.get("port") or options.get("port", PORT))
        user = self.ssh_kwargs.get("username") or options.get("user") or getpass.getuser()
        self.client = paramiko.SSHClient()
        for path in known_hosts_files(options):
            self.client.load_system_host_keys(str(path))
        self.client.set_missing_host_key_policy(RefuseUnknownHost(f"ssh -p {port} {user}@{self.host}"))
        with self.closed_on_error(), connection_errors(user, options["hostname"], port):
            self.client.connect(
                options["hostname"],
                port=port,
                username=user,
                key_filename=[str(Path(name).expanduser()) for name in options.get("identityfile", [])],
                timeout=CONNECT_S,
                banner_timeout=CONNECT_S,
                auth_timeout=CONNECT_S,
            )
            self.ftp = self.client.open_sftp()
            self.ftp.get_channel().settimeout(SILENCE_S)

    @property
    def lost(self) -> bool:
        """Whether the connection is gone."""
        transport, channel = self.client.get_transport(), self.ftp.get_channel()
        return transport is None or not transport.is_active() or channel.closed

    @contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Ends the session where the block fails."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **kwargs: Any) -> paramiko.SFTPFile:
        file: paramiko.SFTPFile = super()._open(path, mode, block_size, **kwargs)
        if "r" not in mode:
            # Writes need not wait for one another's answers; close() raises what went wrong.
            file.set_pipelined(True)
        return file

    def islink(self, path: str) -> bool:
        """Whether the path itself is a symbolic link."""
        mode = self.ftp.lstat(path).st_mode
        return mode is not None and stat.S_ISLNK(mode)

    def home(self) -> str:
        """Folder in which a session of this user begins."""
        return str(self.ftp.normalize("."))

    def close(self) -> None:
        """End the session."""
        self.client.close()


class RefuseUnknownHost(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
    """Refuses a host without a known key, and says how to make it known."""

    def __init__(self, command: str) -> None:
        self.command = command

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """RemoteError with the command that makes the host known, and the key to compare."""
        raise RemoteError(
            f"{hostname} is not in known_hosts, and shows {described(key)}: run `{self.command}` once, "
            "compare the fingerprint with the host's own, and say yes"
        )


def described(key: paramiko.PKey) -> str:
    """A public key as `ssh` prints it: ssh-ed25519 SHA256:..."""
    fingerprint = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"{key.get_name()} SHA256:{fingerprint}"


@contextmanager
def connection_errors(user: str, host: str, port: int) -> Iterator[None]:
    """One line with what to do for each way in which ssh refuses a connection."""
    where = f"{user}@{host}:{port}"
    try:
        yield
    except paramiko.BadHostKeyException as error:
        name = host if port == PORT else f"[{host}]:{port}"
        raise RemoteError(
            f"{name} shows {described(error.key)}, known_hosts has {described(error.expected_key)}: someone "
            f"stands between, or the host was set up anew; then forget the old key: ssh-keygen -R '{name}'"
        ) from error
    except paramiko.PasswordRequiredException as error:
        raise RemoteError(f"{where}: the private key has a passphrase: unlock it with ssh-add first") from error
    except paramiko.SSHException as error:
        if isinstance(error, paramiko.AuthenticationException) or NO_KEY in str(error):
            raise RemoteError(
                f"{where} accepts no key of the agent, ~/.ssh or ~/.ssh/config: add yours with ssh-copy-id"
            ) from error
        raise


def ssh_options(host: str) -> dict[str, Any]:
    """What the user's ssh configuration says of a host; `hostname` is always there."""
    path = Path("~/.ssh/config").expanduser()
    if not path.is_file():
        return {"hostname": host}
    try:
        return dict(paramiko.SSHConfig.from_path(str(path)).lookup(host))
    except paramiko.ConfigParseError as error:
        raise RemoteError(f"{path}: {error}") from error


def refuse_tunnel(host: str, options: dict[str, Any]) -> None:
    """RemoteError where the ssh configuration asks for a tunnel, which is not built here."""
    for name in TUNNELS:
        if options.get(name, "none") != "none":
            raise RemoteError(
                f"~/.ssh/config reaches {host} by {name}, which push and pull do not follow: "
                f"forward a port (ssh -N -L 2222:{options['hostname']}:22 ...) and give sftp://localhost:2222/..."
            )


def known_hosts_files(options: dict[str, Any]) -> list[Path]:
    """The files of known host keys that exist."""
    named = str(options.get("userknownhostsfile", KNOWN_HOSTS)).split()
    files = [SYSTEM_KNOWN_HOSTS, *(Path(name).expanduser() for name in named)]
    return [path for path in files if path.is_file()]
