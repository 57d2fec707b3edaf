# mypy: ignore-errors
# Its functions are ONNX in Python's words: onnxscript translates them, and its operators take what the types forbid.
"""What stands between the two networks inside reader.onnx, as ONNX: letterbox, decoding, rectification, softmax.

Each part repeats numpy and OpenCV code of the predictor, which its docstring names; `parity` compares the two.
Images come out bit for bit as OpenCV's: one grey level here and there is another text where a reader is unsure. So
places are computed in float64, as OpenCV does, and its fixed-point numbers are whole numbers of at most 24 bits in
float32, or more in float64.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx.inliner import inline_local_functions
from onnxscript import BOOL, DOUBLE, FLOAT, INT64, UINT8, OnnxFunction, optimizer, script
from onnxscript import opset20 as op

from alpr.detection.decode import MAX_CANDIDATES, VOTE_SHARE
from alpr.detection.settings import DetectorSettings
from alpr.images.prepare import GREY
from alpr.recognition.settings import RecogniserSettings

FRAMES = UINT8["B", "H", "W", 3]
MOST_STEPS = 8
"""As in `imaging.rectify`: the most samples along each side of a crop's pixel."""
WARP_PLACES = 32.0
"""cv2.warpPerspective looks at the nearest of so many places between two pixels."""
LINEAR_UNIT = 2048.0
"""The weights of cv2.INTER_LINEAR are whole multiples of 1 / 2048."""
FLAT_PX2 = 1e-3
"""A quad with three corners on a line has a triangle of no area, and no homography."""


def _lean(function: OnnxFunction, inputs: list[type], outputs: list[type]) -> onnx.ModelProto:
    """A part as one flat graph without the casts of constants that onnxscript puts before every number."""
    return optimizer.optimize(inline_local_functions(function.to_model_proto(input_types=inputs, output_types=outputs)))


def letterbox_part(settings: DetectorSettings) -> onnx.ModelProto:
    """`imaging.letterbox`: frame -> image (B, h, w, 3) uint8 and scale (2,), x and y, input px per frame px."""
    long_side, multiple, grey, two = settings.input_px, settings.multiple, GREY, 2
    halves = [2**n for n in range(1, 15)]

    @script(default_opset=op)
    def letterbox(frame: UINT8):
        size = op.Shape(frame, start=1, end=3)
        real = op.Cast(size, to=DOUBLE.dtype)
        inner = op.Max(op.Cast(op.Round(real * (long_side / op.ReduceMax(real))), to=INT64.dtype), 1)
        halvings = op.ReduceSum(op.Cast(op.ReduceMin(size / inner) >= halves, to=INT64.dtype), keepdims=0)
        block = op.Pow(op.Cast(two, to=INT64.dtype), halvings)
        blocks = size / block * block
        pixels = op.Cast(op.Slice(frame, [0, 0], blocks, [1, 2]), to=FLOAT.dtype)
        for _ in range(halvings):
            pixels = halved(pixels)
        picture = interpolated(pixels, op.Shape(pixels, start=1, end=3), inner)
        room = (inner + (multiple - 1)) / multiple * multiple - inner
        image = op.Pad(picture, op.Concat([0, 0, 0, 0, 0], room, [0], axis=0), op.Cast(grey, to=UINT8.dtype))
        scales = op.Cast(inner, to=DOUBLE.dtype) / op.Cast(blocks, to=DOUBLE.dtype)
        scale = op.Cast(op.Gather(scales, [1, 0]), to=FLOAT.dtype)
        return image, scale

    return _lean(letterbox, [FRAMES], [UINT8["B", "h", "w", 3], FLOAT[2]])


@script(default_opset=op)
def half_up(block: INT64):
    """What a mean of block x block pixels is raised by before Round, which rounds half to even, as cv2.INTER_AREA does.

    But means of 2 x 2 pixels, which are quarters, it rounds half up.
    """
    return op.Where(block == 2, 0.125, 0.0)


@script(default_opset=op)
def halved(pixels: FLOAT):
    """cv2.resize with INTER_AREA to a half: means of 2 x 2 pixels, (B, H, W, 3) -> (B, H/2, W/2, 3), whole numbers."""
    rows, columns = op.Split(op.Shape(pixels, start=1, end=3) / 2, num_outputs=2)
    lines = op.Reshape(pixels, op.Concat([0], rows, [2, -1], axis=0))
    low = op.ReduceSum(lines, [2], keepdims=0)  # (B, H/2, 3 W)
    # ReduceSum over neighbours takes twenty times longer.
    colours = op.Tile(op.EyeLike(op.ConstantOfShape([3, 3]), dtype=FLOAT.dtype), [2, 1])
    sums = op.MatMul(op.Reshape(low, op.Concat([0], rows, columns, [6], axis=0)), colours)
    return op.Floor(sums * 0.25 + 0.5)


@script(default_opset=op)
def neighbours(length: INT64, inner: INT64):
    """The two of `length` pixels between which each of `inner` lies, and their weights in 2048ths: four of (inner,)."""
    real = op.Cast(length, to=DOUBLE.dtype)
    step = 1.0 / (op.Cast(inner, to=DOUBLE.dtype) / real)  # as OpenCV rounds it
    number = op.Cast(op.Range(0, op.Squeeze(inner), 1), to=DOUBLE.dtype)
    place = op.Cast((number + 0.5) * step - 0.5, to=FLOAT.dtype)
    before = op.Floor(place)
    share = place - before
    first = op.Cast(before, to=INT64.dtype)
    low = op.Min(op.Max(first, 0), length - 1)
    high = op.Min(op.Max(first + 1, 0), length - 1)
    return low, high, op.Round((1.0 - share) * LINEAR_UNIT), op.Round(share * LINEAR_UNIT)


@script(default_opset=op)
def three_times(weights: FLOAT):
    """(n,) -> (3 n,), each for three colours: one row of numbers is multiplied ten times faster than pixels are."""
    return op.Reshape(op.Expand(op.Unsqueeze(weights, [1]), [1, 3]), [-1])


@script(default_opset=op)
def interpolated(pixels: FLOAT, size: INT64, inner: INT64):
    """cv2.resize with INTER_LINEAR: whole numbers (B, *size, 3) -> (B, *inner, 3) uint8, rounded where OpenCV does.

    Source: OpenCV, modules/imgproc/src/resize.cpp: four bits are dropped after the columns, sixteen of each product
    after the rows, which are more than float32 holds.
    """
    rows, columns = op.Split(size, num_outputs=2)
    height, width = op.Split(inner, num_outputs=2)
    left, right, left_weight, right_weight = neighbours(columns, width)
    one = op.Reshape(op.Gather(pixels, left, axis=2), [0, 0, -1]) * three_times(left_weight / 16.0)
    other = op.Reshape(op.Gather(pixels, right, axis=2), [0, 0, -1]) * three_times(right_weight / 16.0)
    across = op.Cast(op.Floor(one + other), to=DOUBLE.dtype)  # (B, rows, 3 w)
    above, below, above_weight, below_weight = neighbours(rows, height)
    upper_share = op.Cast(op.Unsqueeze(above_weight / 65536.0, [1]), to=DOUBLE.dtype)
    lower_share = op.Cast(op.Unsqueeze(below_weight / 65536.0, [1]), to=DOUBLE.dtype)
    upper = op.Floor(op.Gather(across, above, axis=1) * upper_share)
    lower = op.Floor(op.Gather(across, below, axis=1) * lower_share)
    quarters = op.Cast(upper + lower, to=FLOAT.dtype)
    picture = op.Cast(op.Floor(quarters * 0.25 + 0.5), to=UINT8.dtype)
    return op.Reshape(picture, op.Concat([0], inner, [3], axis=0))


def plates_part(settings: DetectorSettings) -> onnx.ModelProto:
    """`decode.decode_detections` and the way back: the detector's outputs and the scale -> what was found.

    That is frame_index (N,), corners (N, 4, 2), scores (N,) and boxes (N, 4) in px of the frame.
    """
    # NonMaxSuppression takes scores above its threshold, the predictor also those that are equal to it.
    below = [float(np.nextafter(np.float32(settings.score_threshold), np.float32(-1)))]
    overlap, most, candidates = [settings.nms_iou], [settings.max_plates], [MAX_CANDIDATES]
    # No overlap is above 2: without a vote every plate elects itself alone.
    vote, share = 2.0 if settings.corner_vote is None else settings.corner_vote, VOTE_SHARE

    @script(default_opset=op)
    def plates(network_scores: FLOAT, network_boxes: FLOAT, network_corners: FLOAT, scale: FLOAT):
        eight = op.Reshape(network_corners, [0, 0, 8])
        anchors = op.Shape(network_scores, start=1, end=2)
        sane = op.Where(network_scores >= 0.0, network_scores, -1.0)  # NaN is not
        best, which = op.TopK(sane, op.Min(anchors, candidates))
        places = op.GatherND(op.Concat(eight, network_boxes, axis=2), op.Unsqueeze(which, [2]), batch_dims=1)
        finite = op.Abs(places) < 1e30
        usable = op.Cast(op.ReduceMin(op.Cast(finite, to=INT64.dtype), [2], keepdims=0), to=BOOL.dtype)
        points = op.Where(finite, places, 0.0)  # (B, K, 12)
        sure = op.Where(usable, best, -1.0)
        quads = op.Reshape(op.Slice(points, [0], [8], [2]), [0, 0, 4, 2])
        hulls = op.Concat(op.ReduceMin(quads, [2], keepdims=0), op.ReduceMax(quads, [2], keepdims=0), axis=2)
        kept = op.NonMaxSuppression(hulls, op.Unsqueeze(sure, [1]), most, overlap, below)
        of_frame, _, chosen = op.Split(kept, num_outputs=3, axis=1)
        frame_index = op.Squeeze(of_frame, [1])
        at = op.Gather(kept, [0, 2], axis=1)
        scores = op.GatherND(sure, at)
        rivals = op.Gather(sure, frame_index)  # (N, K) the candidates of the plate's frame
        overlaps = iou(op.Unsqueeze(op.GatherND(hulls, at), [1]), op.Gather(hulls, frame_index))
        itself = op.Range(0, op.Squeeze(op.Shape(rivals, start=1, end=2)), 1) == chosen
        strong = rivals >= op.Unsqueeze(scores, [1]) * share
        votes = op.Where(op.Or(itself, op.And(overlaps > vote, strong)), rivals, 0.0)
        elected = op.MatMul(
            op.Unsqueeze(votes / op.ReduceSum(votes, [1]), [1]), op.Gather(points, frame_index)
        )  # (N, 1, 12)
        in_frame = op.Div(op.Reshape(elected, [0, 6, 2]), scale)
        corners = op.Slice(in_frame, [0], [4], [1])
        boxes = op.Reshape(op.Slice(in_frame, [4], [6], [1]), [0, 4])
        return frame_index, corners, scores, boxes

    return _lean(
        plates,
        [FLOAT["B", "A"], FLOAT["B", "A", 4], FLOAT["B", "A", 4, 2], FLOAT[2]],
        [INT64["N"], FLOAT["N", 4, 2], FLOAT["N"], FLOAT["N", 4]],
    )


@script(default_opset=op)
def iou(one: FLOAT, others: FLOAT):
    """`geometry.box_iou` of boxes (N, 1, 4) and (N, K, 4): (N, K)."""
    left = op.Max(op.Slice(one, [0], [2], [2]), op.Slice(others, [0], [2], [2]))
    right = op.Min(op.Slice(one, [2], [4], [2]), op.Slice(others, [2], [4], [2]))
    shared = op.ReduceProd(op.Relu(right - left), [2], keepdims=0)
    area = op.ReduceProd(op.Relu(op.Slice(one, [2], [4], [2]) - op.Slice(one, [0], [2], [2])), [2], keepdims=0)
    areas = op.ReduceProd(op.Relu(op.Slice(others, [2], [4], [2]) - op.Slice(others, [0], [2], [2])), [2], keepdims=0)
    return shared / op.Max(area + areas - shared, 1e-9)


def crops_part(settings: RecogniserSettings) -> onnx.ModelProto:
    """`imaging.rectify`: frames, frame_index and corners -> crops (max(N, 1), h, w, 3) uint8, and readable (N,).

    Bilinear samples are gathered from the uint8 frames: GridSample takes planes of floats, into which whole frames
    would have to be turned for the few pixels of their plates. A plate n times larger than its crop is looked at n x n
    times, each time from another place within the crop's pixels; each look is a *view* of M = sum(n x n) in all.
    """
    height, width = settings.size
    crop_sides, whole, one_crop = [float(width), float(height)], [0, height, width, 3], [height, width, 3]
    most, flat, fine = float(MOST_STEPS), FLAT_PX2, WARP_PLACES
    margin_share = onnx.numpy_helper.from_array(np.array(settings.margin))  # a bare number would be float32

    @script(default_opset=op)
    def crops(frames: UINT8, frame_index: INT64, corners: FLOAT):
        following = op.Gather(corners, [1, 2, 3, 0], axis=1)
        areas = cross(following - corners, op.Gather(corners, [2, 3, 0, 1], axis=1) - corners)  # (N, 4, 1)
        readable = op.Squeeze(op.ReduceMin(op.Abs(areas), [1], keepdims=0) > flat, [1])
        square = op.Constant(value_floats=[0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
        quads = op.Where(op.Unsqueeze(readable, [1, 2]), corners, op.Reshape(square, [4, 2]))

        edges = op.Reshape(op.ReduceL2(op.Gather(quads, [1, 2, 3, 0], axis=1) - quads, [2], keepdims=0), [0, 2, 2])
        larger = op.ReduceMax(op.ReduceMean(edges, [1], keepdims=0) / crop_sides, [1], keepdims=0)
        steps = op.Cast(op.Clip(op.Floor(larger), 1.0, most), to=INT64.dtype)
        looks = steps * steps
        ends = op.CumSum(looks, 0)
        number = op.Range(0, op.ReduceSum(looks, keepdims=0), 1)
        later = op.Unsqueeze(number, [1]) >= op.Unsqueeze(ends, [0])
        plate = op.ReduceSum(op.Cast(later, to=INT64.dtype), [1], keepdims=0)  # (M,)
        within = number - op.Gather(ends - looks, plate)
        step = op.Gather(steps, plate)
        margin = op.Constant(value=margin_share)
        x = op.Unsqueeze(places(op.Mod(within, step), step, width, margin), [1, 3])  # (M, 1, w, 1) in plate widths
        y = op.Unsqueeze(places(op.Div(within, step), step, height, margin), [2, 3])  # (M, h, 1, 1)
        points = quad_points(op.Cast(op.Gather(quads, plate), to=DOUBLE.dtype), x, y)  # (M, h, w, 2) px
        size = op.Shape(frames, start=1, end=3)
        last = op.Cast(op.Gather(size, [1, 0]) - 1, to=FLOAT.dtype)
        at = op.Min(op.Max(op.Cast(op.Round((points - 0.5) * fine) / fine, to=FLOAT.dtype), 0.0), last)
        low = op.Floor(at)
        right, below = op.Split(at - low, num_outputs=2, axis=3)
        x1, y1 = op.Split(op.Cast(low, to=INT64.dtype), num_outputs=2, axis=3)
        x2, y2 = op.Split(op.Cast(op.Min(low + 1.0, last), to=INT64.dtype), num_outputs=2, axis=3)
        rows, columns = op.Split(size, num_outputs=2)
        first = op.Unsqueeze(op.Gather(frame_index, plate), [1, 2, 3]) * rows
        pixels = op.Reshape(frames, [-1, 3])
        upper, lower = (first + y1) * columns, (first + y2) * columns
        top = between(pixels, upper + x1, upper + x2, right)
        bottom = between(pixels, lower + x1, lower + x2, right)
        seen = op.Flatten(op.Floor(top + (bottom - top) * below + 0.5))  # (M, h w 3)

        count = op.Shape(frame_index)
        own = op.Unsqueeze(op.Range(0, op.Squeeze(count), 1), [1]) == op.Unsqueeze(plate, [0])  # (N, M)
        sums = op.MatMul(op.Cast(own, to=FLOAT.dtype), seen)
        share = op.Unsqueeze(1.0 / op.Cast(looks, to=FLOAT.dtype), [1])
        found = op.Reshape(op.Round(sums * share + op.Unsqueeze(half_up(steps), [1])), whole)
        # The network gets a black crop where there is no plate: not every operator takes an empty batch.
        spare = op.ConstantOfShape(op.Concat(op.Max(1 - count, 0), one_crop, axis=0))
        crop = op.Cast(op.Concat(found, spare, axis=0), to=UINT8.dtype)
        return crop, readable

    return _lean(crops, [FRAMES, INT64["N"], FLOAT["N", 4, 2]], [UINT8["N1", height, width, 3], BOOL["N"]])


@script(default_opset=op)
def cross(a: FLOAT, b: FLOAT):
    """The cross product of vectors (..., 2): (..., 1)."""
    products = a * op.Gather(b, [1, 0], axis=-1)
    return op.Slice(products, [0], [1], [-1]) - op.Slice(products, [1], [2], [-1])


@script(default_opset=op)
def places(offset: INT64, step: INT64, length: INT64, margin: DOUBLE):
    """Where on a plate, 0 to 1, the `length` pixels of a crop's side are looked at in views (M,): (M, length)."""
    each = op.Unsqueeze(op.Cast(step, to=DOUBLE.dtype), [1])
    side = each * op.Cast(length, to=DOUBLE.dtype)
    edge = side * margin
    # The predictor's homography takes the plate to corners in float32.
    low = op.Cast(op.Cast(edge, to=FLOAT.dtype), to=DOUBLE.dtype)
    high = op.Cast(op.Cast(side - edge, to=FLOAT.dtype), to=DOUBLE.dtype)
    pixels = op.Cast(op.Range(0, length, 1), to=DOUBLE.dtype) * each
    return (pixels + op.Unsqueeze(op.Cast(offset, to=DOUBLE.dtype), [1]) + 0.5 - low) / (high - low)


@script(default_opset=op)
def quad_points(quads: DOUBLE, x: DOUBLE, y: DOUBLE):
    """The points of quads (M, 4, 2) that a homography takes from places (M, 1, w, 1), (M, h, 1, 1) of the unit square.

    Source: Heckbert, "Fundamentals of texture mapping and image warping", 1989, section 2.2.3.
    """
    corner, along, opposite, beside = op.Split(op.Unsqueeze(quads, [2]), num_outputs=4, axis=1)
    one, other = along - opposite, beside - opposite
    whole = corner - along - other
    area = cross(one, other)
    g, h = cross(whole, other) / area, cross(one, whole) / area
    depth = 1.0 + g * x + h * y
    inverse = op.Where(depth == 0.0, 0.0, 1.0 / depth)
    return corner + (x * (1.0 + g) * (along - corner) + y * (1.0 + h) * (beside - corner)) * inverse


@script(default_opset=op)
def between(pixels: UINT8, left: INT64, right: INT64, share: FLOAT):
    """Linear interpolation of two pixels of (P, 3), by their numbers (M, h, w, 1): (M, h, w, 3)."""
    one = op.Cast(op.Gather(pixels, op.Squeeze(left, [3])), to=FLOAT.dtype)
    other = op.Cast(op.Gather(pixels, op.Squeeze(right, [3])), to=FLOAT.dtype)
    return one + (other - one) * share


def texts_part(settings: RecogniserSettings) -> onnx.ModelProto:
    """The softmax of `recognition.decode`: logits and readable -> probabilities (N, L, K+1)."""
    temperature = settings.temperature

    @script(default_opset=op)
    def texts(logits: FLOAT, readable: BOOL):
        likely = op.Slice(op.Softmax(logits / temperature), [0], op.Shape(readable), [0])
        padding = op.Range(0, op.Squeeze(op.Shape(logits, start=2, end=3)), 1) == 0
        probabilities = op.Where(op.Unsqueeze(readable, [1, 2]), likely, op.Cast(padding, to=FLOAT.dtype))
        return probabilities  # noqa: RET504 - an output bears the variable's name

    return _lean(texts, [FLOAT["N1", "L", "C"], BOOL["N"]], [FLOAT["N", "L", "C"]])


def labels_part() -> onnx.ModelProto:
    """The softmax of a head for countries or kinds: logits (N1, C) and readable -> probabilities (N, C)."""

    @script(default_opset=op)
    def labels(head: FLOAT, readable: BOOL):
        found = op.Slice(op.Softmax(head), [0], op.Shape(readable), [0])
        return found  # noqa: RET504

    return _lean(labels, [FLOAT["N1", "C"], BOOL["N"]], [FLOAT["N", "C"]])
