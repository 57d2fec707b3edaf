"""openvino-fp32: the target openvino, computed in float32."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from alpr.export.targets import openvino

TARGET = replace(openvino.TARGET, open=partial(openvino.open_bundle, precision="f32"))
