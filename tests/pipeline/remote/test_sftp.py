"""push and pull over sftp, against OpenSSH's own server on loopback."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.plan import State

STAGES = ("data", "teacher", "position", "distill")


def rows(stdout: str) -> list[tuple[str, str]]:
    return [(row["reference"].partition("@")[0], row["action"]) for row in json.loads(stdout)]


def contents(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def refused(result: tuple[int, str, str], *parts: str) -> None:
    """Exit code 2 and one line that holds `parts`."""
    code, _, stderr = result
    assert code == 2, stderr
    (line,) = stderr.splitlines()
    assert line.startswith("error: ") and all(part in line for part in parts), line


def test_a_round_trip(sshd, done, fabric, stocked, tmp_path) -> None:
    url = sshd.url(tmp_path / "on the box" / "store")
    code, stdout, stderr = done(sshd.environment, "push", stocked, "--json", "--store", url)
    assert code == 0, stderr
    assert rows(stdout) == [(name, "pushed") for name in STAGES]
    assert contents(tmp_path / "on the box" / "store") == contents(stocked / "store")
    environment = sshd.environment | {"PIPELINE_STORE": url}
    code, stdout, stderr = done(environment, "pull", tmp_path / "home", "--json")
    assert code == 0, stderr
    assert rows(stdout) == [(name, "pulled") for name in STAGES]
    assert contents(tmp_path / "home" / "store") == contents(stocked / "store")
    assert [fabric.states(tmp_path / "home")[name] for name in STAGES] == [State.CURRENT] * 4
    code, stdout, _ = done(environment, "push", stocked, "--json")
    assert rows(stdout) == [(name, "already there") for name in STAGES]
    code, stdout, _ = done(environment, "pull", tmp_path / "other", "teacher@", "--json")
    assert rows(stdout) == [("teacher", "pulled")]


def test_another_machines_store_is_a_remote_store_as_it_stands(sshd, done, fabric, stocked, tmp_path) -> None:
    """A board fetches the student alone, from the home folder of the training box."""
    box = sshd.user_home / "project" / ".pipeline"
    shutil.copytree(stocked, box)
    url = f"sftp://127.0.0.1:{sshd.port}/~/project/.pipeline/store"
    code, stdout, stderr = done(sshd.environment, "pull", tmp_path / "home", "distill", "--json", "--store", url)
    assert code == 0, stderr
    assert rows(stdout) == [("distill", "pulled")]
    refused(done(sshd.environment, "pull", tmp_path, "--store", f"{url}s"), "there is no such folder")


@pytest.mark.parametrize("verb", ["push", "pull"])
def test_a_lost_connection_is_taken_up_again(sshd, done, wire, fabric, stocked, tmp_path, verb) -> None:
    home, store = stocked, tmp_path / "store"
    if verb == "pull":
        home = tmp_path / "home"
        shutil.copytree(stocked / "store", store)
    cut = wire(sshd.port, limit=4_500_000, upwards=verb == "push", cut=True)
    sshd.trust(cut.port)
    code, _, stderr = done(sshd.environment, verb, home, "--json", "--store", sshd.url(store, cut.port))
    assert code == 2 and cut.full.is_set() and "Traceback" not in stderr, stderr
    assert "the connection was lost" in stderr.splitlines()[-1], stderr
    teachers = store if verb == "push" else home / "store"
    assert not list(teachers.glob("teacher/*/*/manifest.json"))
    code, stdout, stderr = done(sshd.environment, verb, home, "--json", "--store", sshd.url(store))
    assert code == 0, stderr
    teacher = next(row for row in json.loads(stdout) if row["reference"].startswith("teacher"))
    assert teacher["action"] == f"{verb}ed"
    # What had arrived is not fetched again, but for the 2 MB that ssh lets wait unread.
    assert verb == "push" or 1_400_000 < teacher["bytes"] < 5_000_000
    assert contents(store) == contents(stocked / "store")
    assert verb == "push" or contents(home / "store") == contents(stocked / "store")


@pytest.mark.parametrize("verb", ["push", "pull"])
def test_a_killed_process_leaves_no_artifact_and_the_next_one_finishes(
    sshd, command, done, wire, fabric, stocked, tmp_path, verb
) -> None:
    home, store = stocked, tmp_path / "store"
    if verb == "pull":
        home = tmp_path / "home"
        shutil.copytree(stocked / "store", store)
    held = wire(sshd.port, limit=1_500_000, upwards=verb == "push", cut=False)
    sshd.trust(held.port)
    process = command(sshd.environment, verb, home, "--store", sshd.url(store, held.port))
    assert held.full.wait(60)
    process.kill()
    process.communicate()
    held.close()
    assert not list((store if verb == "push" else home / "store").glob("teacher/*/*/manifest.json"))
    code, _, stderr = done(sshd.environment, verb, home, "--store", sshd.url(store))
    assert code == 0, stderr
    assert contents(store) == contents(stocked / "store")
    if verb == "pull":
        assert [fabric.states(home)[name] for name in STAGES] == [State.CURRENT] * 4


def test_a_host_without_a_known_key_is_refused_with_what_to_do(sshd, done, stocked, tmp_path) -> None:
    (sshd.user_home / ".ssh" / "config").write_text(f"UserKnownHostsFile {tmp_path / 'none'}\n")
    try:
        result = done(sshd.environment, "push", stocked, "--store", sshd.url(tmp_path / "store"))
    finally:
        (sshd.user_home / ".ssh" / "config").unlink()
    refused(result, f"[127.0.0.1]:{sshd.port} is not in known_hosts", "SHA256:", f"`ssh -p {sshd.port} ")
    assert not (tmp_path / "none").exists() and not (tmp_path / "store").exists()


def test_a_host_with_another_key_is_refused(sshd, done, stocked, tmp_path) -> None:
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{sshd.port} {other}\n")
    (sshd.user_home / ".ssh" / "config").write_text(f"UserKnownHostsFile {tmp_path / 'known_hosts'}\n")
    try:
        result = done(sshd.environment, "push", stocked, "--store", sshd.url(tmp_path / "store"))
    finally:
        (sshd.user_home / ".ssh" / "config").unlink()
    refused(result, "known_hosts has ssh-ed25519 SHA256:", f"ssh-keygen -R '[127.0.0.1]:{sshd.port}'")


def test_a_user_without_a_key_is_told_how_to_add_one(sshd, done, stocked, tmp_path) -> None:
    (tmp_path / ".ssh").mkdir()
    sshd.trust(sshd.port, tmp_path)
    environment = sshd.environment | {"HOME": str(tmp_path)}
    result = done(environment, "push", stocked, "--store", sshd.url(tmp_path / "store"))
    refused(result, f"127.0.0.1:{sshd.port} accepts no key", "ssh-copy-id")


def test_names_and_keys_of_the_ssh_configuration_are_used(sshd, done, stocked, tmp_path) -> None:
    shutil.copytree(sshd.user_home / ".ssh", tmp_path / ".ssh")
    (tmp_path / ".ssh" / "id_ed25519").rename(tmp_path / "key")
    config = ("Host box", "HostName 127.0.0.1", f"Port {sshd.port}", f"IdentityFile {tmp_path / 'key'}")
    (tmp_path / ".ssh" / "config").write_text("\n".join(config) + "\n")
    environment = sshd.environment | {"HOME": str(tmp_path)}
    code, _, stderr = done(environment, "push", stocked, "data", "--store", f"sftp://box{tmp_path}/store")
    assert code == 0, stderr
    (tmp_path / ".ssh" / "config").write_text("\n".join([*config, "ProxyJump gate"]) + "\n")
    refused(done(environment, "push", stocked, "--store", f"sftp://box{tmp_path}/store"), "proxyjump", "forward a port")


def test_a_host_that_does_not_answer(sshd, done, stocked, tmp_path) -> None:
    result = done(sshd.environment, "push", stocked, "--store", "sftp://127.0.0.1:1/store")
    refused(result, "sftp://127.0.0.1:1/store: ", "port 1")


def test_a_folder_that_may_not_be_written(sshd, done, stocked, tmp_path) -> None:
    result = done(sshd.environment, "push", stocked, "--store", sshd.url(Path("/proc/store")))
    refused(result, sshd.url(Path("/proc/store")))
