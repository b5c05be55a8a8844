"""Asks pip-audit whether a package of constraints.txt has a known vulnerability: `make audit`.

Exit codes: 0 none is known, 1 some are, 3 the databases could not be asked about all packages. pip-audit itself ends with 0 where
an index answers that it knows no vulnerabilities of a package, because it is a mirror that never does.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
SERVICES = ("pypi", "osv")
"""Where advisories are: the second is asked if the first cannot answer for all packages."""
CLEAN, VULNERABLE, UNKNOWN = 0, 1, 3


def ask(service: str) -> tuple[dict[str, Any], str]:
    """What pip-audit says, and what it complains of."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--vulnerability-service",
        service,
        "--format",
        "json",
        "--progress-spinner",
        "off",
    ]
    command += ["--no-deps", "--disable-pip", "--requirement", str(CONSTRAINTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return json.loads(done.stdout), ""
    except ValueError:
        return {}, (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def judge(found: dict[str, Any]) -> tuple[int, list[str]]:
    """The exit code, and a line for each package that is vulnerable or unknown."""
    packages = found.get("dependencies", [])
    lines = [f"{p['name']} {p['version']}: {v['id']}, fixed in {v['fix_versions']}" for p in packages for v in p.get("vulns", [])]
    unknown = [p["name"] for p in packages if "skip_reason" in p]
    if lines:
        return VULNERABLE, lines
    if unknown or not packages:
        return UNKNOWN, [f"not audited: {len(unknown)} of {len(packages)} packages, which this service does not know"]
    return CLEAN, [f"no known vulnerability in {len(packages)} packages"]


def main() -> int:
    code = UNKNOWN
    for service in SERVICES:
        found, complaint = ask(service)
        code, lines = judge(found) if not complaint else (UNKNOWN, [complaint])
        print("\n".join(f"{service}: {line}" for line in lines))
        if code != UNKNOWN:
            break
    if code == UNKNOWN:
        print("the advisory databases could not be asked about all packages: nothing is known, neither good nor bad")
    return code


if __name__ == "__main__":
    sys.exit(main())
