"""Literal label files of foreign formats, as their own tools write them, and what they say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

HEIGHT, WIDTH = 80, 200
BOX = [40.0, 20.0, 120.0, 50.0]
QUAD = [[40.0, 20.0], [118.0, 24.0], [120.0, 50.0], [42.0, 46.0]]
QUAD_ARRAY = np.array(QUAD)
BLUE = "0359-5_21-151&285_417&398-417&398_179&377_151&285_389&306-0_0_4_33_32_25_12-59-4.jpg"


def photograph(path: Path, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((*size, 3), np.uint8))
    return path


def lay_out(folder: Path, files: dict[str, str], images: Sequence[str] = ("a.jpg",)) -> Path:
    for name in images:
        photograph(folder / name)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return folder


COCO = {
    "info": {"year": 2024},
    "images": [
        {"id": 7, "file_name": "a.jpg", "width": 200, "height": 80},
        {"id": 9, "file_name": "b.jpg", "width": 200, "height": 80},
    ],
    "annotations": [
        {
            "id": 1,
            "image_id": 7,
            "category_id": 3,
            "bbox": [40, 20, 80, 30],
            "area": 2400,
            "iscrowd": 0,
            "keypoints": [40, 20, 2, 118, 24, 2, 120, 50, 1, 42, 46, 2],
            "num_keypoints": 4,
            "segmentation": [],
            "attributes": {"Plate Number": "AB 123", "country": "GB"},
        },
        {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 200, 80], "segmentation": []},
        {"id": 3, "image_id": 7, "category_id": 3, "bbox": [150, 5, 20, 8], "iscrowd": 1, "segmentation": {"size": []}},
    ],
    "categories": [{"id": 1, "name": "car"}, {"id": 3, "name": "License_Plate"}],
}
VOC = """<annotation verified="yes">
	<folder>x</folder><filename>a.jpg</filename><path>C:\\\\data\\\\a.jpg</path>
	<size><width>200</width><height>80</height><depth>3</depth></size>
	<object><name>licence</name><difficult>0</difficult>
		<bndbox><xmin>41</xmin><ymin>21</ymin><xmax>120</xmax><ymax>50</ymax></bndbox></object>
	<object><name>car</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>200</xmax><ymax>80</ymax></bndbox></object>
</annotation>
"""
YAML = "train: ../train/images\nnc: 2\nnames: ['car', 'number-plate']\n"
LABELME = {
    "version": "5.4.1",
    "flags": {},
    "shapes": [
        {"label": "plate", "points": QUAD, "group_id": None, "description": "AB123", "shape_type": "polygon"},
        {"label": "plate", "points": [[190, 30], [150, 10]], "description": "", "shape_type": "rectangle"},
    ],
    "imagePath": "..\\photos\\a.jpg",
    "imageData": None,
    "imageHeight": 80,
    "imageWidth": 200,
}
VIA_RECT = {
    "shape_attributes": {"name": "rect", "x": 40, "y": 20, "width": 80, "height": 30},
    "region_attributes": {"label": "numberplate", "text": "AB123"},
}
VIA_QUAD = {
    "shape_attributes": {
        "name": "polygon",
        "all_points_x": [40, 118, 120, 42, 40],
        "all_points_y": [20, 24, 50, 46, 20],
    },
    "region_attributes": {"type": {"numberplate": True, "car": False}},
}
CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><id>1</id></task></meta>
  <image id="0" name="a.jpg" subset="Validation" width="200" height="80">
    <polygon label="plate" occluded="0" points="40.00,20.00;118.00,24.00;120.00,50.00;42.00,46.00" z_order="0">
      <attribute name="text">AB123</attribute></polygon>
    <points label="plate" points="40,20;118,24;120,50;42,46"></points>
    <box label="plate" xtl="140" ytl="20" xbr="180" ybr="40" rotation="0.0"></box>
    <box label="car" xtl="0" ytl="0" xbr="200" ybr="80"></box>
  </image>
</annotations>
"""
UFPR = "camera: GoPro Hero4 Silver\nposition_vehicle: 1 2 90 70\n\ttype: car\n\tmake: GM\nplate: ABC-1234\n"
OPEN_IMAGES = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
    "a,xclick,/m/01jfm_,1,0.2,0.6,0.25,0.625,0,0,0,0,0\n"
    "a,xclick,/m/0k4j,1,0,1,0,1,0,0,0,0,0\n"
    "zz,xclick,/m/0k4j,1,0,1,0,1,0,0,0,0,0\n"
)
GFICKEL = (
    "image_path,left,top,right,bottom,kp1_x,kp1_y,kp2_x,kp2_y,kp3_x,kp3_y,kp4_x,kp4_y,ocr_1,ocr_2,ocr_3,ocr_4,ocr_5,ocr_6,ocr_7\n"
    "|/home/x/a.jpg|,40,20,120,50,120,50,42,46,40,20,118,24,1,1,5,34,33,26,13\n"
)

LABEL_STUDIO = [
    {
        "id": 1,
        "data": {"ocr": "/data/upload/1/0a1b2c3d-a.jpg"},
        "annotations": [
            {
                "was_cancelled": False,
                "result": [
                    {
                        "id": "r1",
                        "type": "rectanglelabels",
                        "original_width": 200,
                        "original_height": 80,
                        "image_rotation": 0,
                        "value": {"x": 20, "y": 25, "width": 40, "height": 37.5, "rotation": 0}
                        | {"rectanglelabels": ["Plate"]},
                    },
                    {"id": "r1", "type": "textarea", "value": {"x": 20, "y": 25, "text": ["AB123"]}},
                    {
                        "id": "r2",
                        "type": "polygonlabels",
                        "original_width": 200,
                        "original_height": 80,
                        "value": {"points": [[20, 25], [59, 30], [60, 62.5], [21, 57.5]], "polygonlabels": ["Plate"]},
                    },
                ],
            }
        ],
    },
    {"id": 2, "data": {"ocr": "/data/upload/1/0a1b2c3d-b.jpg"}, "annotations": []},
]
_RECTANGLE = {
    "x": 20,
    "y": 25,
    "width": 40,
    "height": 37.5,
    "rotation": 0,
    "original_width": 200,
    "original_height": 80,
}
LABEL_STUDIO_MIN = [
    {
        "image": "/data/local-files/?d=photos/a.jpg",
        "id": 1,
        "label": [_RECTANGLE | {"rectanglelabels": ["plate"]}],
        "transcription": "AB123",
        "annotator": 1,
        "annotation_id": 1,
    },
    {"image": "/data/local-files/?d=photos/b.jpg", "id": 2, "annotator": 1, "annotation_id": 2},
]
CREATE_ML = [
    {
        "image": "a.jpg",
        "annotations": [
            {"label": "license-plate", "coordinates": {"x": 80, "y": 35, "width": 80, "height": 30}},
            {"label": "car", "coordinates": {"x": 100, "y": 40, "width": 200, "height": 80}},
        ],
    },
    {"image": "b.jpg", "annotations": []},
]
VIA_TABLE = (
    "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"
    'a.jpg,9,"{}",1,0,"{""name"":""rect"",""x"":40,""y"":20,""width"":80,""height"":30}",'
    '"{""label"":""plate"",""text"":""AB123""}"\n'
    'b.jpg,9,"{}",0,0,"{}","{}"\n'
)

# format, files, images, rows as (image, text, box, quad, split)
LITERAL = [
    (
        "coco",
        {"annotations/instances_train2017.json": json.dumps(COCO)},
        ["train2017/a.jpg", "train2017/b.jpg"],
        [
            ("train2017/a.jpg", "AB123", BOX, QUAD, "train"),
            ("train2017/a.jpg", "", [150, 5, 170, 13], None, "train"),
            ("train2017/b.jpg", "", None, None, "train"),
        ],
    ),
    ("voc", {"Annotations/a.xml": VOC}, ["JPEGImages/a.jpg"], [("JPEGImages/a.jpg", "", BOX, None, "")]),
    (
        "yolo",
        {"data.yaml": YAML, "valid/labels/a.txt": "1 0.400000 0.437500 0.400000 0.375000\n0 0.5 0.5 1 1\n"},
        ["valid/images/a.jpg", "valid/images/b.jpg"],
        [("valid/images/a.jpg", "", BOX, None, "val"), ("valid/images/b.jpg", "", None, None, "val")],
    ),
    (
        "yolo-pose",
        {"labels/train/a.txt": "0 0.4 0.4375 0.4 0.375 0.2 0.25 2 0.59 0.3 2 0.6 0.625 2 0.21 0.575 1\n"},
        ["images/train/a.jpg"],
        [("images/train/a.jpg", "", BOX, QUAD, "train")],
    ),
    (
        "yolo-obb",
        {"a.txt": "0 0.2 0.25 0.59 0.3 0.6 0.625 0.21 0.575\n", "classes.txt": "plate\n"},
        ["a.jpg"],
        [("a.jpg", "", None, QUAD, "")],
    ),
    (
        "labelme",
        {"labels/a.json": json.dumps(LABELME)},
        ["photos/a.jpg"],
        [("photos/a.jpg", "AB123", None, QUAD, ""), ("photos/a.jpg", "", [150, 10, 190, 30], None, "")],
    ),
    (
        "via",
        {"train/via.json": json.dumps({"a.jpg9": {"filename": "a.jpg", "size": 9, "regions": [VIA_RECT, VIA_QUAD]}})},
        ["train/a.jpg"],
        [("train/a.jpg", "AB123", BOX, None, "train"), ("train/a.jpg", "", None, QUAD, "train")],
    ),
    (
        "via",
        {"p.json": json.dumps({"_via_img_metadata": {"a": {"filename": "a.jpg", "regions": {"0": VIA_RECT}}}})},
        ["a.jpg"],
        [("a.jpg", "AB123", BOX, None, "")],
    ),
    (
        "paddle-det",
        {
            "det_gt_test.txt": "images/a.jpg\t"
            '[{"transcription": "AB123", "points": [[40, 20], [118, 24], [120, 50], [42, 46]]}, '
            '{"transcription": "###", "points": [[150, 5], [170, 5], [170, 13], [150, 13]]}]\n'
        },
        ["images/a.jpg"],
        [
            ("images/a.jpg", "AB123", None, QUAD, "test"),
            ("images/a.jpg", "", None, [[150, 5], [170, 5], [170, 13], [150, 13]], "test"),
        ],
    ),
    (
        "paddle-rec",
        {"rec_gt_train.txt": "crop/a.jpg\t京AB123\n"},
        ["crop/a.jpg"],
        [("crop/a.jpg", "京AB123", None, None, "train")],
    ),
    (
        "fast-plate-ocr",
        {"train/annotations.csv": "image_path,plate_text,plate_region\nimages/a.jpg,AB123,Argentina\n"},
        ["train/images/a.jpg"],
        [("train/images/a.jpg", "AB123", None, None, "train")],
    ),
    ("openalpr", {"a.txt": "a.jpg\t40\t20\t80\t30\tAB123\n"}, ["a.jpg"], [("a.jpg", "AB123", BOX, None, "")]),
    (
        "cvat",
        {"annotations.xml": CVAT},
        ["images/a.jpg"],
        [
            ("images/a.jpg", "AB123", None, QUAD, "val"),
            ("images/a.jpg", "", None, QUAD, "val"),
            ("images/a.jpg", "", [140, 20, 180, 40], None, "val"),
        ],
    ),
    (
        "ufpr",
        {
            "training/track0001/a.txt": UFPR + "position_plate: 40 20 80 30\n\tchar 1: 42 22 9 14\n",
            "testing/track0091/b.txt": UFPR + "corners: 40,20 118,24 120,50 42,46\n",
        },
        ["training/track0001/a.png", "testing/track0091/b.png"],
        [
            ("testing/track0091/b.png", "ABC1234", None, QUAD, "test"),
            ("training/track0001/a.png", "ABC1234", BOX, None, "train"),
        ],
    ),
    (
        "rodosol",
        {
            "images/cars-me/img_1.txt": "type: car\nplate: ABC1D23\nlayout: Mercosur\n"
            "corners: 40,20 118,24 120,50 42,46\n",
            "split.txt": "./images/cars-me/img_1.jpg;validation\n",
        },
        ["images/cars-me/img_1.jpg"],
        [("images/cars-me/img_1.jpg", "ABC1D23", None, QUAD, "val")],
    ),
    (
        "open-images",
        {"validation-annotations-bbox.csv": OPEN_IMAGES},
        ["validation/a.jpg"],
        [("validation/a.jpg", "", BOX, None, "val")],
    ),
    (
        "yolo-seg",
        {
            "train/labels/a.txt": "0 0.2 0.25 0.59 0.3 0.6 0.625 0.21 0.575 0.2 0.25\n"
            "0 0.2 0.25 0.3 0.24 0.59 0.3 0.6 0.625 0.4 0.6 0.21 0.575\n",
            "data.yaml": "names: [plate]\n",
        },
        ["train/images/a.jpg"],
        [
            ("train/images/a.jpg", "", None, QUAD, "train"),
            ("train/images/a.jpg", "", [40, 19.2, 120, 50], None, "train"),
        ],
    ),
    (
        "label-studio",
        {"project-1.json": json.dumps(LABEL_STUDIO)},
        ["a.jpg", "b.jpg"],
        [("a.jpg", "AB123", BOX, None, ""), ("a.jpg", "", None, QUAD, "")],
    ),
    (
        "label-studio",
        {"min.json": json.dumps(LABEL_STUDIO_MIN)},
        ["photos/a.jpg", "photos/b.jpg"],
        [("photos/a.jpg", "AB123", BOX, None, ""), ("photos/b.jpg", "", None, None, "")],
    ),
    (
        "label-studio",
        {
            "export.csv": "image,id,label,transcription,annotator,annotation_id,lead_time\n"
            + '/data/upload/1/0a1b2c3d-a.jpg,1,"'
            + json.dumps([_RECTANGLE | {"rectanglelabels": ["plate"]}]).replace('"', '""')
            + '",AB123,1,1,9.5\n'
        },
        ["a.jpg"],
        [("a.jpg", "AB123", BOX, None, "")],
    ),
    (
        "createml",
        {"valid/_annotations.createml.json": json.dumps(CREATE_ML)},
        ["valid/a.jpg", "valid/b.jpg"],
        [("valid/a.jpg", "", BOX, None, "val"), ("valid/b.jpg", "", None, None, "val")],
    ),
    (
        "roboflow-csv",
        {
            "train/_annotations.csv": "filename,width,height,class,xmin,ymin,xmax,ymax\n"
            "a.jpg,200,80,License_Plate,40,20,120,50\na.jpg,200,80,car,,,,\n"
        },
        ["train/a.jpg"],
        [("train/a.jpg", "", BOX, None, "train")],
    ),
    (
        "via-csv",
        {"via_export_csv.csv": VIA_TABLE},
        ["a.jpg", "b.jpg"],
        [("a.jpg", "AB123", BOX, None, ""), ("b.jpg", "", None, None, "")],
    ),
    (
        "oidv4",
        {"train/Plates/Label/a.txt": "Vehicle registration plate 40.0 20.0 120.0 50.0\n"},
        ["train/Plates/a.jpg"],
        [("train/Plates/a.jpg", "", BOX, None, "train")],
    ),
    (
        "wpod",
        {"a.txt": "4,0.2,0.59,0.6,0.21,0.25,0.3,0.625,0.575,AB123,\n"},
        ["a.jpg"],
        [("a.jpg", "AB123", None, QUAD, "")],
    ),
    ("gfickel", {"alpr_annotation.csv": GFICKEL}, ["a.jpg"], [("a.jpg", "皖AE981N", BOX, QUAD, "")]),
    (
        "ccpd",
        {},
        [f"ccpd_blur/{BLUE}"],
        [(BLUE, "皖AE981N", [151, 285, 417, 398], [[151, 285], [389, 306], [417, 398], [179, 377]], "test")],
    ),
]
