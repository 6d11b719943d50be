"""Virtual environments that are really built, from small wheels made here, with no network."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lepton_ai.errors import InvalidInput, StorageFailed
from lepton_ai.node.environment import EnvironmentCache

UV_FOLDER = os.path.dirname(shutil.which("uv") or "")
ENSURE = """
import sys
from pathlib import Path
from lepton_ai.node.environment import EnvironmentCache
said = []
root = EnvironmentCache(Path(sys.argv[1])).ensure(("leaf==1.0",), on_progress=said.append)
print(root, any("pip" in sentence for sentence in said))
"""


def make_wheel(folder: Path, name: str, version: str, code: str = "", requires: str = "") -> None:
    """Write a wheel with one module of the same name (the binary distribution format of packaging.python.org)."""
    about = f"{name}-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    files = {
        f"{name}.py": code or f"VERSION = {version!r}\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{about}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in {**files, f"{about}/RECORD": record}.items():
            wheel.writestr(path, text)


def make_source(folder: Path, backend: str) -> None:
    """Write the source distribution of `probe` 1.0, which is built by the code in `backend` (PEP 517)."""
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "PKG-INFO": "Metadata-Version: 2.1\nName: probe\nVersion: 1.0\n",
        "backend.py": backend,
    }
    with tarfile.open(folder / "probe-1.0.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"probe-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that is all that the installers can see; uv is hidden, so that pip alone is tested."""
    folder = tmp_path / "index"
    folder.mkdir()
    make_wheel(folder, "leaf", "1.0")
    make_wheel(folder, "leaf", "2.0")
    make_wheel(folder, "trunk", "1.0", requires="leaf<2")
    make_wheel(folder, "pathspec", "0.1", code="VERSION = 'the requirement'\n")
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return folder


def ask(root: Path, code: str) -> str:
    return subprocess.run(
        [root / "bin" / "python", "-c", code], capture_output=True, text=True, timeout=60, check=True
    ).stdout.strip()


def ignore(sentence: str) -> None:
    del sentence


@pytest.mark.usefixtures("index")
def test_requirements_and_what_they_need_are_installed_and_progress_is_told(tmp_path: Path) -> None:
    said: list[str] = []

    root = EnvironmentCache(tmp_path / "envs").ensure(("trunk",), on_progress=said.append)

    assert ask(root, "import leaf, trunk; print(leaf.VERSION, trunk.VERSION)") == "1.0 1.0"
    assert "Installing 1 requirement with pip." in said
    assert "Installing collected packages: leaf, trunk" in said
    assert str(tmp_path) not in " ".join(said)
    assert "Successfully installed" in (root / "install.log").read_text()


@pytest.mark.usefixtures("index")
def test_lepton_ai_and_what_it_needs_stay_importable_but_a_requirement_wins(tmp_path: Path) -> None:
    root = EnvironmentCache(tmp_path / "envs").ensure(("pathspec==0.1",), on_progress=ignore)

    code = "import pathspec, cloudpickle, lepton_ai.types.task as t; print(pathspec.VERSION, t.__name__)"
    assert ask(root, code) == "the requirement lepton_ai.types.task"


@pytest.mark.usefixtures("index")
def test_the_same_set_is_built_once_however_it_is_written(tmp_path: Path) -> None:
    cache = EnvironmentCache(tmp_path / "envs")
    said: list[str] = []

    first = cache.ensure(("Leaf == 1.0", "trunk"), on_progress=ignore)
    second = cache.ensure(("trunk", "leaf==1.0  # pinned"), on_progress=said.append)
    third = cache.ensure(("leaf==2.0",), on_progress=ignore)

    assert first == second != third
    assert said == []


@pytest.mark.usefixtures("index")
def test_threads_and_processes_that_ask_at_once_share_one_build(tmp_path: Path) -> None:
    def ask_another_process(_: int) -> list[str]:
        command = [sys.executable, "-c", ENSURE, str(tmp_path / "envs")]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.split()

    said: list[str] = []
    cache = EnvironmentCache(tmp_path / "envs")
    with ThreadPoolExecutor(6) as pool:
        others = pool.map(ask_another_process, range(3))
        here = [pool.submit(cache.ensure, ("leaf==1.0",), on_progress=said.append) for _ in range(3)]
        answers = [*others]

    assert {root for root, _ in answers} | {str(each.result()) for each in here} == {answers[0][0]}
    builds = [built for _, built in answers].count("True") + said.count("Installing 1 requirement with pip.")
    assert builds == 1


@pytest.mark.usefixtures("index")
def test_a_requirement_that_cannot_be_installed_is_named_with_what_the_installer_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"The requirement nope==1\.0 cannot be installed") as failure:
        EnvironmentCache(tmp_path / "envs").ensure(("leaf", "nope==1.0"), on_progress=ignore)

    assert "No matching distribution found for nope==1.0" in failure.value.message
    assert failure.value.hint
    assert sorted(path.suffix for path in (tmp_path / "envs").iterdir()) == [".failed", ".lock", ".log"]


def test_a_set_that_failed_is_tried_again_by_the_next_who_asks(tmp_path: Path, index: Path) -> None:
    cache = EnvironmentCache(tmp_path / "envs")
    with pytest.raises(InvalidInput):
        cache.ensure(("late==1.0",), on_progress=ignore)
    make_wheel(index, "late", "1.0")

    root = cache.ensure(("late==1.0",), on_progress=ignore)

    assert ask(root, "import late; print(late.VERSION)") == "1.0"
    assert not list((tmp_path / "envs").glob("*.failed"))


@pytest.mark.usefixtures("index")
def test_those_who_waited_for_a_build_that_failed_get_its_error_without_a_try_of_their_own(tmp_path: Path) -> None:
    said: list[str] = []
    cache = EnvironmentCache(tmp_path / "envs")
    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(cache.ensure, ("nope==1.0",), on_progress=said.append) for _ in range(5)]
        errors = [each.exception() for each in asked]

    assert {str(error) for error in errors} == {str(errors[0])}
    assert said.count("Installing 1 requirement with pip.") < 5


@pytest.mark.usefixtures("index")
def test_a_half_built_environment_is_built_anew(tmp_path: Path) -> None:
    cache = EnvironmentCache(tmp_path / "envs")
    root = cache.ensure(("leaf==1.0",), on_progress=ignore)
    (root / "lepton-ready.json").unlink()
    (root / "rubbish").write_text("")

    again = cache.ensure(("leaf==1.0",), on_progress=ignore)

    assert again == root
    assert ask(root, "import leaf; print(leaf.VERSION)") == "1.0"
    assert not (root / "rubbish").exists()


@pytest.mark.usefixtures("index")
def test_the_least_recently_used_goes_unless_it_was_used_just_now_or_a_process_runs_in_it(tmp_path: Path) -> None:
    cache = EnvironmentCache(tmp_path / "envs", count_max=1)
    used, idle, recent = (cache.ensure((line,), on_progress=ignore) for line in ("leaf==1.0", "leaf==2.0", "trunk"))
    long_ago = 1_000_000_000
    for root in (used, idle):
        os.utime(root / "lepton-ready.json", (long_ago, long_ago))
    with subprocess.Popen(
        [used / "bin" / "python", "-c", "print(flush=True); input()"],
        env={"VIRTUAL_ENV": str(used)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as replica:  # fmt: skip
        assert replica.stdout is not None
        replica.stdout.readline()
        newest = cache.ensure(("trunk", "leaf"), on_progress=ignore)
        replica.communicate(b"\n", timeout=30)

    assert [built.root for built in cache.built()] == [used, recent, newest]
    assert not idle.exists()


def test_a_package_being_built_does_not_see_our_own_environment(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEPTON_TOKEN", "lepton-secret")
    make_source(
        index, "import os\ndef build_wheel(*a, **k):\n    raise SystemExit('SEEN ' + repr(sorted(os.environ)))\n"
    )

    with pytest.raises(InvalidInput):
        EnvironmentCache(tmp_path / "envs").ensure(("probe==1.0",), on_progress=ignore)

    log = next((tmp_path / "envs").glob("*.log")).read_text()
    assert "SEEN" in log
    assert "LEPTON_TOKEN" not in log


@pytest.mark.usefixtures("index")
def test_who_asks_after_a_killed_core_waits_for_the_installer_that_it_left(tmp_path: Path, index: Path) -> None:
    """The installer of a killed core must not write into an environment that the next core builds anew."""
    started, gate = tmp_path / "started", tmp_path / "gate"
    make_source(
        index,
        f"import os, time\ndef build_wheel(*a, **k):\n    open({str(started)!r}, 'a').write('x')\n"
        f"    while not os.path.exists({str(gate)!r}): time.sleep(0.02)\n    raise SystemExit('refused')\n",
    )
    script = ENSURE.replace("leaf==1.0", "probe==1.0")
    core = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "envs")], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not started.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    core.kill()
    core.wait()

    with ThreadPoolExecutor(1) as pool:
        said: list[str] = []
        asked = pool.submit(EnvironmentCache(tmp_path / "envs").ensure, ("probe==1.0",), on_progress=said.append)
        while not said and time.monotonic() < deadline:
            time.sleep(0.02)
        while_it_lives = (tuple(said), started.read_text())
        gate.write_text("")
        error = asked.exception(timeout=60)

    assert while_it_lives == (("Waiting for the virtual environment.",), "x")
    assert isinstance(error, InvalidInput)
    assert started.read_text() == "xx"


def test_a_cache_that_cannot_be_written_fails_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageFailed, match="file/envs"):
        EnvironmentCache(tmp_path / "file" / "envs").ensure(("leaf",), on_progress=ignore)


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed here")
def test_uv_is_preferred_where_it_exists_and_pip_has_a_try_where_it_fails(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{UV_FOLDER}:/usr/bin:/bin")
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    said: list[str] = []
    cache = EnvironmentCache(tmp_path / "envs")

    fallen_back = cache.ensure(("leaf==1.0",), on_progress=said.append)
    monkeypatch.setenv("UV_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    by_uv = cache.ensure(("leaf==2.0",), on_progress=ignore)

    assert "uv could not install them; trying pip, which may know of other places." in said
    assert ask(fallen_back, "import leaf; print(leaf.VERSION)") == "1.0"
    assert ask(by_uv, "import leaf, cloudpickle; print(leaf.VERSION)") == "2.0"
