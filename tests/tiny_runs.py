"""Small synthetic data and small networks, so that a whole training takes seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from alpr.data.ccpd_folders import create_table
from alpr.plates.country import CountryPack
from alpr.synthetic.ccpd_set import SyntheticPlan, synthesize

REPOSITORY = Path(__file__).resolve().parent.parent

EVERY = (
    "trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.max_epochs=3", "trainer.log_every_n_steps=2",
    "watch.checkpoint_steps=3", "data.workers=0", "model.predictor.size=[16,64]",
)  # fmt: skip
DETECTOR = (
    "experiment=ccpd_green_detector", *EVERY[:-1], "data.manifest=ccpd_green/alpr_dataset.csv", "data.canvas=[128,96]",
    "data.batch_size=2", "data.epoch_samples=16", "model.network.stem=[8,8]", "model.network.stage_blocks=[1,1,1,1]",
    "model.network.stage_widths=[8,8,16,16]", "model.network.neck_width=8", "model.network.head_convs=1",
    "model.network.head_width=8", "model.predictor.input_px=128", "model.predictor.score_threshold=0.01",
)  # fmt: skip
RECOGNISER = (
    "experiment=ccpd_green_recogniser", *EVERY, "data.manifest=ccpd_green/alpr_dataset.csv",
    "data.rendered.own.share=2", "data.sources.ccpd_green.share=2", "data.epoch_samples=32",
    "model.network.stem_widths=[4,8,16]", "model.network.width=16", "model.network.heads=2",
    "model.network.encoder_layers=1", "model.network.dropout=0.2",
)  # fmt: skip
_TINY_NETWORK = tuple(s for s in RECOGNISER if s.startswith("model.network"))
DISTILLATION = ("experiment=distil_fast", *RECOGNISER[1:])
ENCODER_PRETRAINING = (
    "experiment=pretrain_encoder", *EVERY, *_TINY_NETWORK, "data.manifest=ccpd_green/alpr_dataset.csv", "data.real=4",
    "data.synthetic=2", "data.epoch_samples=32",
)  # fmt: skip
WINDOW = (
    "experiment=window_gb", *EVERY[:-1], "data.manifest=ccpd_green/alpr_dataset.csv", "data.batch_size=4",
    "data.epoch_samples=8", "data.val_samples=8", "model.network.units=8", "model.network.widths=[2,2,4]",
)  # fmt: skip
DECODER_PRETRAINING = (
    "experiment=pretrain_decoder", *EVERY, *_TINY_NETWORK, "data.batch_size=4", "data.val_samples=8",
    "data.epoch_samples=32",
)  # fmt: skip
ENVIRONMENT = {
    **os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY), "NO_ALBUMENTATIONS_UPDATE": "1",
    "WANDB_MODE": "offline",
}  # fmt: skip


def make_data(folder: Path) -> Path:
    """Twenty-four scenes of green plates with their table, all of them `train`."""
    pack = CountryPack.read(REPOSITORY / "configs" / "country" / "cn.yaml")
    synthesize(folder, SyntheticPlan(24, seed=3, green_share=1.0, val_share=0, test_share=0), pack, workers=1)
    create_table(folder / "ccpd_green")
    return folder


def make_teacher(path: Path, size: tuple[int, int] = (16, 64)) -> Path:
    """A tiny network that has learnt nothing, as a file of weights."""
    from alpr.recognition.module import RecogniserModule
    from alpr.runs.weights import write_weights

    pack = CountryPack.read(REPOSITORY / "configs" / "country" / "cn.yaml")
    network = {"stem_widths": (4, 8, 16), "width": 24, "heads": 2, "encoder_layers": 1}
    write_weights(RecogniserModule(pack.to_dict(), network=network, predictor={"size": size}), path)
    return path


def overrides(settings: Iterable[str], data: Path, output: Path, *more: str) -> list[str]:
    """A command line's settings; later ones win."""
    latest = {s.split("=", 1)[0]: s for s in (*settings, f"data.root={data}", f"output_dir={output}", *more)}
    return list(latest.values())


@dataclass
class Done:
    """How a script ended: negative codes are signals."""

    code: int
    text: str


class Scripts:
    """Runs scripts in forks of one process that has imported torch and lightning already."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._count = folder, 0
        self._server = subprocess.Popen(
            [sys.executable, str(REPOSITORY / "tests" / "forking_server.py")],
            cwd=REPOSITORY, env=ENVIRONMENT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._line() == "ready"

    def start(self, script: str, arguments: Iterable[str], **environment: str) -> int:
        """Starts one; gives its process id. Only one at a time: `wait` comes next."""
        self._count += 1
        self._log = self.folder / f"{self._count}.log"
        request = {"argv": [script, *arguments], "log": str(self._log), "env": environment}
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return int(self._line())

    @staticmethod
    def send(pid: int, number: int) -> bool:
        """Whether a script still runs that could take this signal; 0 only asks."""
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def wait(self) -> Done:
        code = int(self._line().split()[1])
        return Done(code, self._log.read_text(encoding="utf-8"))

    def run(self, script: str, arguments: Iterable[str], **environment: str) -> Done:
        self.start(script, arguments, **environment)
        return self.wait()

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(30)

    def _line(self) -> str:
        assert self._server.stdout is not None
        return self._server.stdout.readline().strip()
