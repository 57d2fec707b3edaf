"""The faults that `plant_faults.py` plants: each changes what the code does, and a test of those named notices it.

The first had once survived. `tests/test_plant_faults.py` holds the list to the code: every old text stands
in its file exactly once.
"""

from __future__ import annotations

from plant_faults import Fault

ONCE_SURVIVED = (
    Fault(
        "a plate's score learns 1",
        "alpr/detection/losses.py",
        "quality[image, anchor] = aligned_iou(predicted.detach(), target)",
        "quality[image, anchor] = 1.0",
        "tests/detection/test_detection_losses.py",
    ),
    Fault(
        "the score's target is taken of other boxes",
        "alpr/detection/losses.py",
        "aligned_iou(predicted.detach(), target)",
        "aligned_iou(predicted.detach(), target.roll(1, 0))",
        "tests/detection/test_detection_losses.py",
    ),
    Fault(
        "decoded corners may be a pixel away",
        "alpr/export/parity.py",
        "CORNER_TOLERANCE_PX = 0.1",
        "CORNER_TOLERANCE_PX = 1.0",
        "tests/export/test_parity.py",
    ),
    Fault(
        "a plate more after the export is let through",
        "alpr/export/parity.py",
        "if len(expected) != len(got):",
        "if len(expected) > len(got):",
        "tests/export/test_parity.py",
    ),
    Fault(
        "a target may lose a whole point",
        "alpr/export/convert.py",
        "ACCEPTED_LOSS = 0.5",
        "ACCEPTED_LOSS = 1.0",
        "tests/export/test_convert.py",
    ),
    Fault(
        "int8 weights of eight bits",
        "alpr/export/targets/int8.py",
        "SEVEN_BITS = True",
        "SEVEN_BITS = False",
        "tests/export/test_convert.py",
    ),
    Fault(
        "the average's decay does not warm up",
        "alpr/training/callbacks.py",
        "min(decay, (1 + n) / (10 + n))",
        "decay",
        "tests/training/test_callbacks.py",
    ),
    Fault(
        "a plate is found at IoU 0.4",
        "alpr/detection/metrics.py",
        "FOUND_IOU = 0.5",
        "FOUND_IOU = 0.4",
        "tests/detection/test_detection_metrics.py",
    ),
    Fault(
        "a reading counts of plates found at IoU 0.4",
        "alpr/evaluation/figures.py",
        "if (r.iou or 0.0) > 0.5 else None",
        "if (r.iou or 0.0) > 0.4 else None",
        "tests/evaluation/test_evaluation.py",
    ),
    Fault(
        "suppression at equality",
        "alpr/detection/decode.py",
        "overlaps[:sure, :sure] > settings.nms_iou",
        "overlaps[:sure, :sure] >= settings.nms_iou",
        "tests/recognition/test_decode.py",
    ),
    Fault(
        "rows behind the first piece are counted anew",
        "alpr/data/separated_text.py",
        "        line += 1\n        more = 0",
        "        line = line % 16384 + 1\n        more = 0",
        "tests/data/test_manifest.py",
    ),
    Fault(
        "a terminal is given escapes",
        "alpr/evaluation/tables.py",
        'printable(cell.replace("\\n", " "))',
        'cell.replace("\\n", " ")',
        "tests/evaluation/test_hostile_texts.py",
    ),
    Fault(
        "a page is given markup",
        "alpr/reports/html.py",
        "Html(html.escape(printable(text)))",
        "Html(printable(text))",
        "tests/evaluation/test_hostile_texts.py",
    ),
    Fault(
        "nothing of a plate is covered",
        "alpr/reader/blur.py",
        "share = np.maximum(edge, inside)[..., None]",
        "share = 0 * np.maximum(edge, inside)[..., None]",
        "tests/reader/test_blur.py::test_any_quad_is_covered",
    ),
    Fault(
        "the doctor gives a terminal escapes",
        "alpr/doctor/page.py",
        "escape(printable(where + f.message))",
        "escape(where + f.message)",
        "tests/doctor/test_doctor.py::test_a_terminal_is_given_no_escape_of_a_name_or_text",
    ),
)

PLATES = (
    Fault(
        "a plate's width is its top edge twice",
        "alpr/plates/geometry.py",
        "bottom = np.linalg.norm(corners[..., 2, :] - corners[..., 3, :], axis=-1)",
        "bottom = np.linalg.norm(corners[..., 1, :] - corners[..., 0, :], axis=-1)",
        "tests/plates/test_geometry.py",
    ),
    Fault(
        "three corners of four turn clockwise",
        "alpr/plates/geometry.py",
        "np.all(turns > 0))",
        "np.sum(turns > 0) > 2)",
        "tests/plates/test_geometry.py",
    ),
    Fault(
        "the left and right corners swap one pair under a mirror",
        "alpr/plates/geometry.py",
        "MIRRORED_CORNERS = (1, 0, 3, 2)",
        "MIRRORED_CORNERS = (1, 0, 2, 3)",
        "tests/plates/test_geometry.py tests/detection/test_detection_data.py",
    ),
    Fault(
        "class ids begin at 0",
        "alpr/plates/charset.py",
        "enumerate(self.symbols, start=1)})",
        "enumerate(self.symbols, start=0)})",
        "tests/plates/test_charset.py",
    ),
    Fault(
        "the second row's gaps are those between the wrong places",
        "alpr/plates/layout.py",
        "if i < s.after <= mine[number + 1]]",
        "if i <= s.after < mine[number + 1]]",
        "tests/plates tests/synthetic/test_synthetic.py",
    ),
    Fault(
        "every row has the first row's cells",
        "alpr/plates/layout.py",
        "return self.row_character_mm[row] if self.row_character_mm",
        "return self.row_character_mm[0] if self.row_character_mm",
        "tests/plates tests/synthetic/test_synthetic.py",
    ),
    Fault(
        "a layout has a row for each end of a row",
        "alpr/plates/layout.py",
        'return self.pattern.count("/") + 1',
        'return self.pattern.count("/") or 1',
        "tests/plates",
    ),
)

RECOGNITION = (
    Fault(
        "tokens between two characters learn the padding",
        "alpr/recognition/targets.py",
        "torch.where((far <= 0.5).any(1), UNSEEN, PAD)",
        "torch.where((far <= 0.3).any(1), UNSEEN, PAD)",
        "tests/recognition/test_recognition_losses.py",
    ),
    Fault(
        "a plate of one row is aligned to the rows end to end",
        "alpr/recognition/losses.py",
        "ends = torch.where((rows == 1)[:, None, None], one, ends)",
        "ends = torch.where((rows > 1)[:, None, None], one, ends)",
        "tests/recognition/test_recognition_losses.py",
    ),
    Fault(
        "the places of a plate of one row are sought in all rows",
        "alpr/recognition/losses.py",
        "targets = torch.where(single, token_targets(slots, places, 1, columns), targets)",
        "targets = torch.where(~single, token_targets(slots, places, 1, columns), targets)",
        "tests/recognition/test_recognition_losses.py",
    ),
    Fault(
        "the places term is not weighted",
        "alpr/recognition/losses.py",
        "settings.places_weight * of_places",
        "1.0 * of_places",
        "tests/recognition/test_recognition_losses.py",
    ),
    Fault(
        "the text goes on behind the first padding",
        "alpr/recognition/decode.py",
        "np.where(np.logical_and.accumulate(ids != PAD, axis=1), ids, PAD)",
        "np.where(ids != PAD, ids, PAD)",
        "tests/recognition/test_decode.py",
    ),
    Fault(
        "a score leaves out the padding behind the text",
        "alpr/recognition/grammar.py",
        "float(printed.prod() * probabilities[len(ids) :, PAD].prod())",
        "float(printed.prod())",
        "tests/recognition/test_decode.py tests/recognition/test_grammar.py",
    ),
    Fault(
        "a second look is taken at another temperature",
        "alpr/recognition/decode.py",
        "np.asarray(temperature * np.log(np.maximum(probabilities, TINY)))",
        "np.asarray(np.log(np.maximum(probabilities, TINY)))",
        "tests/recognition/test_decode.py tests/reader/test_read_again.py",
    ),
    Fault(
        "a threshold parts readings of one score",
        "alpr/recognition/calibration.py",
        "allowed = np.flatnonzero(good & ends)",
        "allowed = np.flatnonzero(good)",
        "tests/recognition/test_calibration.py",
    ),
    Fault(
        "the bootstrap draws readings, not plates",
        "alpr/recognition/calibration.py",
        "_, owner = np.unique(plates, return_inverse=True)",
        "owner = np.arange(len(plates))",
        "tests/recognition/test_calibration.py",
    ),
    Fault(
        "a bin of the calibration error holds its lower end",
        "alpr/recognition/metrics.py",
        "np.ceil(values * CALIBRATION_BINS).astype(int) - 1",
        "np.floor(values * CALIBRATION_BINS).astype(int)",
        "tests/recognition/test_recognition_metrics.py",
    ),
)

DETECTION = (
    Fault(
        "a plate without a cell inside claims no anchor",
        "alpr/detection/targets.py",
        "positive = torch.where(positive.any(-1, keepdim=True), positive, best)",
        "positive = positive & (positive | best)",
        "tests/detection/test_detection_targets.py",
    ),
    Fault(
        "an ignored region is learnt as background",
        "alpr/detection/targets.py",
        "return (inside & (kinds == IGNORED)[:, None, :]).any(-1)",
        "return (inside & (kinds == ABSENT)[:, None, :]).any(-1)",
        "tests/detection/test_detection_targets.py",
    ),
    Fault(
        "corners are learnt in pixels",
        "alpr/detection/losses.py",
        "offsets = (batch.corners[image, plate] - centres[:, None]) / strides[..., None]",
        "offsets = batch.corners[image, plate] - centres[:, None]",
        "tests/detection/test_detection_losses.py",
    ),
    Fault(
        "unlabelled plates of a scene labelled in part are punished",
        "alpr/detection/losses.py",
        "& ~(background & trusted & ~batch.complete[:, None])",
        "& ~(background & trusted & batch.complete[:, None])",
        "tests/detection/test_detection_losses.py",
    ),
    Fault(
        "voters are judged by the threshold, not by the plate",
        "alpr/detection/decode.py",
        "(scores >= VOTE_SHARE * scores[i])",
        "(scores >= settings.score_threshold)",
        "tests/recognition/test_decode.py",
    ),
    Fault(
        "a second look's wide plates join unsuspected",
        "alpr/detection/detect.py",
        "or p.score >= wide or _overlaps(p, suspects)]",
        "or p.score >= wide or finer]",
        "tests/reader/test_second_look.py",
    ),
    Fault(
        "a second look's scores are not weighed",
        "alpr/detection/detect.py",
        "score=plate.score * weight)",
        "score=plate.score)",
        "tests/reader/test_second_look.py",
    ),
)

DATA = (
    Fault(
        "rows are joined by the first grouping alone",
        "alpr/data/splitting.py",
        "groups = join(groups, groups, grouping)",
        "groups = grouping if groups is None else join(groups, groups, groupings[0])",
        "tests/data/test_splitting.py",
    ),
    Fault(
        "an empty text is a plate that all such rows share",
        "alpr/data/photographs.py",
        "first.setdefault(n, i) if n else i for",
        "first.setdefault(n, i) for",
        "tests/data/test_splitting.py tests/data/test_photographs.py",
    ),
    Fault(
        "the gap between blocks is half as long",
        "alpr/data/splitting.py",
        "(times[i] + times[i + 1]) / 2) < gap / 2]",
        "(times[i] + times[i + 1]) / 2) < gap / 4]",
        "tests/data/test_splitting.py",
    ),
    Fault(
        "a leak into the split gap is reported",
        "alpr/data/splitting.py",
        "np.flatnonzero([split != GAP for split in manifest.split])",
        "np.arange(manifest.rows)",
        "tests/data/test_splitting.py",
    ),
    Fault(
        "a scene is held back only with its last plate",
        "alpr/data/manifest.py",
        "its[scene].add(fold_of(identity(text), folds))",
        "its[scene] = {fold_of(identity(text), folds)}",
        "tests/data/test_manifest.py",
    ),
    Fault(
        "a plate written in two ways is two plates",
        "alpr/data/manifest.py",
        "its[scene].add(fold_of(identity(text), folds))",
        "its[scene].add(fold_of(text, folds))",
        "tests/data/test_manifest.py tests/data/test_splitting.py",
    ),
    Fault(
        "a crowd of plates is learnt",
        "alpr/data/importers/coco.py",
        'entry.get("iscrowd") or entry.get("ignore")',
        'entry.get("ignore")',
        "tests/data/test_importers.py",
    ),
    Fault(
        "a COCO box is taken for two corners",
        "alpr/data/importers/coco.py",
        "box = [x, y, x + w, y + h]",
        "box = [x, y, w, h]",
        "tests/data/test_importers.py",
    ),
    Fault(
        "a quad upside down keeps its first corner",
        "alpr/data/importers/corner_order.py",
        "shift = np.where(along_is_long, 0, 1) + np.where(long[:, 0] > 0, 0, 2)",
        "shift = np.where(along_is_long, 0, 1) + np.where(long[:, 0] > 0, 0, 0)",
        "tests/data/test_importers.py",
    ),
)

EVALUATION = (
    Fault(
        "photographs of one plate count apart",
        "alpr/evaluation/intervals.py",
        "of_plates = np.bincount(ids, weights=weight) / np.bincount(ids)",
        "of_plates = weight",
        "tests/evaluation/test_intervals.py",
    ),
    Fault(
        "McNemar's approximation is not corrected",
        "alpr/evaluation/intervals.py",
        "abs(only_first - only_second) - 1) ** 2 / n",
        "abs(only_first - only_second)) ** 2 / n",
        "tests/evaluation/test_comparison.py",
    ),
    Fault(
        "a protocol's IoU counts at equality",
        "alpr/evaluation/protocols/matching.py",
        "None if rule is None or record.iou is None else record.iou > rule.iou",
        "None if rule is None or record.iou is None else record.iou >= rule.iou",
        "tests/evaluation/test_protocol_scores.py",
    ),
    Fault(
        "equally good boxes are taken as they come",
        "alpr/evaluation/protocols/matching.py",
        "chosen.sort(key=lambda i: float(overlap[i]))",
        "chosen.sort(key=lambda i: 0.0)",
        "tests/evaluation/test_protocol_scores.py",
    ),
    Fault(
        "a shorter text agrees in all but one character",
        "alpr/evaluation/figures.py",
        "return len(true) == len(read) and sum(a != b for a, b in zip(true, read, strict=True)) <= 1",
        "return sum(a != b for a, b in zip(true, read)) <= 1",
        "tests/evaluation/test_protocol_scores.py",
    ),
    Fault(
        "a repeated photograph counts twice overall",
        "alpr/evaluation/figures.py",
        'if protocol.repeated == "counted":',
        'if protocol.repeated != "never":',
        "tests/evaluation/test_protocol_scores.py",
    ),
)

EXPORT = (
    Fault(
        "a raw output that is no number passes",
        "alpr/export/parity.py",
        "if not difference <= RAW_TOLERANCE:  # NaN fails too",
        "if difference > RAW_TOLERANCE:",
        "tests/export/test_export.py",
    ),
    Fault(
        "the last convolutions are quantised too",
        "alpr/export/targets/int8.py",
        "[*convolutions(detector)[: source.keep_first], *last_convolutions(detector)]",
        "[*convolutions(detector)[: source.keep_first]]",
        "tests/export/test_convert.py",
    ),
    Fault(
        "the set that gained decides on a target",
        "alpr/export/convert.py",
        "worst = max(losses, key=lambda name: losses[name])",
        "worst = min(losses, key=lambda name: losses[name])",
        "tests/export/test_convert.py",
    ),
)

TRAINING = (
    Fault(
        "processes draw the same samples",
        "alpr/data/sampling.py",
        "start = (step * self.world + self.rank) * count",
        "start = step * self.world * count",
        "tests/data/test_sampling.py",
    ),
    Fault(
        "every lap has the first one's order",
        "alpr/data/sampling.py",
        "np.random.default_rng((self.seed, source, lap)), self.weights[source]",
        "np.random.default_rng((self.seed, source, 0)), self.weights[source]",
        "tests/data/test_sampling.py",
    ),
    Fault(
        "a resumed table keeps the row of its step",
        "alpr/training/metrics_csv.py",
        'if int(row["step"]) < step]',
        'if int(row["step"]) <= step]',
        "tests/training/test_training.py::test_the_table_of_figures_goes_on",
    ),
    Fault(
        "a resumed run draws from its first step",
        "alpr/data/training_loader.py",
        "max(trainer.global_step, module.start_step) * trainer.accumulate_grad_batches",
        "trainer.global_step * trainer.accumulate_grad_batches",
        "tests/data/test_sampling.py",
    ),
    Fault(
        "a moved run forgets its best figure",
        "alpr/training/callbacks.py",
        '"best_model_path": self.path, "kth_best',
        '"kth_best',
        "tests/training/test_callbacks.py",
    ),
)

DOCTOR = (
    Fault(
        "a plate in two splits is told at the larger share",
        "alpr/doctor/split_rules.py",
        "few = min(splits, key=lambda s: (splits[s], s))",
        "few = max(splits, key=lambda s: (splits[s], s))",
        "tests/doctor",
    ),
    Fault(
        "text that runs backwards is let through",
        "alpr/doctor/geometry_rules.py",
        "turned_deg: float = 60.0",
        "turned_deg: float = 181.0",
        "tests/doctor",
    ),
    Fault(
        "a label outside the image on the left is let through",
        "alpr/doctor/geometry_rules.py",
        "np.stack([-boxed[:, 0], -boxed[:, 1],",
        "np.stack([boxed[:, 0] * 0, -boxed[:, 1],",
        "tests/doctor",
    ),
    Fault(
        "an O that may be a 0 is mended though both fit",
        "alpr/doctor/text_rules.py",
        "if len(swapped) == 1:",
        "if swapped:",
        "tests/doctor",
    ),
)

READER = (
    Fault(
        "a small plate is read from the shrunken pixels",
        "alpr/recognition/read.py",
        "plate_width(quad / photograph.scale) < narrowest",
        "plate_width(quad) < narrowest",
        "tests/reader/test_reader.py tests/reader/test_second_look.py",
    ),
    Fault(
        "an image on its side has its declared size",
        "alpr/images/photograph.py",
        "(height, width) if upright else (width, height)",
        "(height, width)",
        "tests/images/test_prepare.py tests/reader/test_reader.py",
    ),
    Fault(
        "frames before an unreadable one are lost",
        "alpr/reader/reader.py",
        "                yield from self._read_images(images)\n                raise",
        "                raise",
        "tests/reader/test_reader.py",
    ),
    Fault(
        "uncertain texts are written with the certain ones",
        "alpr/reader/results.py",
        'if plate.get("text") and plate.get("certain") is not False:',
        'if plate.get("text"):',
        "tests/cli/test_cli.py tests/cli/test_cli_options.py tests/cli/test_many_images.py",
    ),
)

FAULTS = (*ONCE_SURVIVED, *PLATES, *RECOGNITION, *DETECTION, *DATA, *EVALUATION, *EXPORT, *TRAINING, *DOCTOR, *READER)
