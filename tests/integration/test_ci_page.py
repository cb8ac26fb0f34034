"""The steps of docs/ci.md, of its action and of its hook, run as a CI system runs them.

The other side is pip and its index: a `python3` on PATH makes environments in which pip notes what
it was asked for, and `model-validator` is this interpreter's.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from tests.support.policies import policy_document
from tests.support.signed_model import FILES, Signer, Site, statement, write

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
ACTION: Final = ROOT / "ci" / "verify-model"
BLOCKS: Final = [
    yaml.safe_load(text)
    for text in re.findall(
        r"^```yaml\n(.*?)^```", (ROOT / "docs" / "ci.md").read_text(), re.MULTILINE | re.DOTALL
    )
]
GITHUB, GITLAB, PRE_COMMIT = BLOCKS
LOCKS: Final = ("build.txt", "validator.txt")

FAKE_PYTHON: Final = f"""#!/bin/bash
[[ $1 == -I && $2 == -m && $3 == venv ]] || exit 9
shift
mkdir -p "$3/bin"
printf '#!/bin/bash\\necho "$@" >>"$PIP_LOG"\\n' >"$3/bin/pip"
printf '#!/bin/bash\\nexec %s -I -m validator "$@"\\n' {shlex.quote(sys.executable)} \
  >"$3/bin/model-validator"
chmod +x "$3/bin/"*
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a model, its signature and its policy, and a PATH with that python3."""
    repository = tmp_path / "repository"
    model = write(repository / "models" / "granite", FILES)
    site = Site(model, model / "model.sig", Signer())
    site.sign(statement())
    signer = {"privateKeyConfig": {"publicKey": site.signer.public_pem.decode()}}
    (repository / "policy.yaml").write_text(yaml.safe_dump(policy_document(config=signer)))
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python3"
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    return repository


def run(command: str, *, at: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a step by the shell, as a runner does."""
    path = f"{at.parent / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command],
        cwd=at,
        env={**os.environ, "PATH": path, "PIP_LOG": str(at.parent / "pip.log"), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def action_steps(
    repository: Path, given: dict[str, str]
) -> Iterator[subprocess.CompletedProcess[str]]:
    """Run the action's steps with inputs."""
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    inputs = {name: given.get(name, each.get("default")) for name, each in action["inputs"].items()}
    assert given.keys() <= inputs.keys()
    assert all(inputs[name] for name, each in action["inputs"].items() if each["required"])
    for step in action["runs"]["steps"]:
        assert step["shell"] == "bash"
        variables = {
            name: re.sub(r"\${{ inputs\.(\w+) }}", lambda found: inputs[found[1]], value)
            for name, value in step.get("env", {}).items()
        }
        assert "${{" not in step["run"]
        temporary = str(repository.parent)
        yield run(
            step["run"],
            at=repository,
            GITHUB_ACTION_PATH=str(ACTION),
            RUNNER_TEMP=temporary,
            **variables,
        )


def assert_installed(repository: Path) -> None:
    """Assert that pip was asked for what the locks name, by hashes, and for this project."""
    log = (repository.parent / "pip.log").read_text().splitlines()
    assert all(" install --no-deps " in f" {line} " for line in log)
    locked = [line for line in log if "--require-hashes" in line]
    assert [Path(line.split(" -r ")[1]).name for line in locked] == list(LOCKS)
    assert len(log) == len(locked) + 1


def test_the_github_step_verifies(repository: Path) -> None:
    """With the page's inputs: the honest model passes, and a changed one fails the job."""
    (step,) = [each for each in GITHUB["jobs"]["verify"]["steps"] if "verify-model" in each["uses"]]
    assert (ROOT / step["uses"].partition("@")[0].split("/", 2)[2] / "action.yml").is_file()
    installed, verified = action_steps(repository, step["with"])
    assert (installed.returncode, verified.returncode) == (0, 0), verified.stderr
    assert_installed(repository)
    (repository / "models/granite/config.json").write_text("{} ")
    *_, refused = action_steps(repository, step["with"])
    assert refused.returncode == 1
    assert "config.json" in refused.stdout + refused.stderr


def test_the_model_may_lie_where_the_policy_says(repository: Path) -> None:
    """And an input with spaces and quotes is one word."""
    odd = repository / 'a "policy" $(touch x).yaml'
    shutil.copy(repository / "policy.yaml", odd)
    document = yaml.safe_load(odd.read_text())
    document["spec"]["model"]["path"] = str(repository / "models/granite")
    odd.write_text(yaml.safe_dump(document))
    *_, verified = action_steps(repository, {"policy": odd.name})
    assert verified.returncode == 0, verified.stderr
    assert not (repository / "x").exists()


def test_the_gitlab_job_verifies(repository: Path) -> None:
    """Its script, with a clone of this project."""
    job = GITLAB["verify-model"]
    git = repository.parent / "bin" / "git"
    git.write_text('#!/bin/bash\nmkdir -p "${@: -1}"\nln -s "$SOURCE/ci" "${@: -1}/ci"\n')
    git.chmod(0o755)
    variables = {**job["variables"], "CI_PROJECT_DIR": str(repository), "SOURCE": str(ROOT)}
    ended = run("\n".join(job["script"]), at=repository, **variables)
    assert ended.returncode == 0, ended.stderr
    assert_installed(repository)


def test_the_hook_verifies(repository: Path) -> None:
    """As pre-commit calls it, on the changes that the page names."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    (used,) = PRE_COMMIT["repos"][0]["hooks"]
    assert used["id"] == hook["id"]
    changes = re.compile(used["files"])
    assert all(changes.search(each) for each in ("models/granite/config.json", "policy.yaml"))
    assert not changes.search("README.md")
    command = [*shlex.split(hook["entry"]), *used["args"]]
    python = f"{shlex.quote(sys.executable)} -I -m validator"
    assert command[0] == "model-validator"
    line = f"{python} {shlex.join(command[1:])}"
    assert run(line, at=repository).returncode == 0
    (repository / "models/granite/weights/a.bin").write_bytes(b"another")
    assert run(line, at=repository).returncode == 1


def test_the_hook_brings_what_verification_imports() -> None:
    """By the extras of this project, which pip reads in the hook's checkout."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    (extras,) = hook["additional_dependencies"]
    assert set(re.findall(r"\w+", extras)) == {"validator", "blake3"}
    assert hook["pass_filenames"] is False


def test_the_repository_cannot_bring_a_module_of_its_own(repository: Path) -> None:
    """Python looks for modules in the folder that it is started in, and that one is verified."""
    (repository / "venv.py").write_text("print('taken')")
    python = repository.parent / "bin" / "python3"
    # Without pip, so that the script ends where the environment is made.
    python.write_text(f'#!/bin/bash\nexec {shlex.quote(sys.executable)} "$@" --without-pip\n')
    made = repository.parent / "made"
    ended = run(
        f"{shlex.quote(str(ACTION / 'install.sh'))} {shlex.quote(str(made))}", at=repository
    )
    assert "taken" not in ended.stdout
    assert (made / "pyvenv.cfg").is_file()


def test_an_install_without_a_folder_is_explained(repository: Path) -> None:
    """In one line."""
    ended: Any = run(str(ACTION / "install.sh"), at=repository)
    assert (ended.returncode, ended.stderr) == (2, "usage: install.sh DIRECTORY\n")
