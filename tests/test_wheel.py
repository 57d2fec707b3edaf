"""The wheel in an empty environment outside the repository: the command reads a plate, and torch is not there.

Bundles and country packs are found by their names.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
from tiny_bundle import scene, write_bundle


def _run(*command: object, cwd: Path) -> str:
    # neither the repository nor this environment may help
    clean = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=cwd, env=clean)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def test_the_wheel_reads_a_plate_without_torch(repository: Path, tmp_path: Path) -> None:
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, repository, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.name.startswith("alpr_train-")  # `alpr` on the package index is another project
    carried = {"alpr/py.typed", "alpr/configs/train.yaml", "alpr/configs/country/br.yaml", "alpr/model_bin/default"}
    carried |= {f"alpr/studio/page/{name}" for name in ("index.html", "main.js", "style.css")}
    carried |= {"alpr/datasets/sources.yaml", "alpr/datasets/scored.csv"}
    assert carried <= set(names)
    assert not [
        n for n in names if n.startswith(("tests/", "configs/", "datasets/", "scripts/")) or n.endswith(".safetensors")
    ]
    environment = tmp_path / "environment"
    _run(sys.executable, "-m", "venv", environment, cwd=tmp_path)
    scripts = environment / ("Scripts" if os.name == "nt" else "bin")
    _run(scripts / "python", "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    write_bundle(tmp_path / "tiny")
    cv2.imwrite(str(tmp_path / "car.png"), scene("皖A12"))
    line = _run(scripts / "alpr", "predict", "--bundle", "tiny", "car.png", "--annotate", "drawn", cwd=tmp_path)
    record = json.loads(line)
    assert record["image"] == "car.png" and record["plates"][0]["text"] == "皖A12"
    assert (tmp_path / "drawn" / "car.png").is_file()
    assert "Testland (CN)" in _run(scripts / "alpr", "info", "tiny", cwd=tmp_path)
    _run(scripts / "alpr", "bench", "car.png", "--bundle", "tiny", "--output", "bench.json", cwd=tmp_path)
    where = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))["environment"]
    assert re.fullmatch(r"installed \S+, sha256 of its code [0-9a-f]{64}", where["commit"])  # there is no commit
    code = (
        "import importlib.util as u, alpr, alpr.reader.reader as p; print(alpr.__file__)\n"
        "from alpr.plates.country import CountryPack\n"
        "print([m for m in ('torch', 'lightning', 'hydra', 'onnx', 'PIL') if u.find_spec(m)])\n"
        "print(p.find_bundle(), len(alpr.Reader('world', threads=1)('car.png')), CountryPack.find('br').name)\n"
        "for find, name in ((alpr.Reader, 'wrold'), (CountryPack.find, 'zz')):\n"
        "    try: find(name)\n"
        "    except ValueError as e: print(e)"
    )
    place, absent, found, bundle, pack = _run(scripts / "python", "-c", code, cwd=tmp_path).splitlines()
    assert Path(place).is_relative_to(environment) and absent == "[]"
    bundles = Path(place).parent / "model_bin"
    default, plates, country = found.split()
    assert Path(default).parent == bundles and plates.isdecimal() and country == "Brazil"
    assert bundle == f"There is no bundle 'wrold'; expected a bundle's folder or one of cn, world in {bundles}."
    assert pack.startswith("There is no country pack 'zz'; expected a YAML file or one of ar, at, br, ")
