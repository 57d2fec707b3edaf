"""Encodings, invisible characters, placeholders, and what is said of a source of no known format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from foreign_labels import BOX, QUAD, VOC, lay_out
from typer.testing import CliRunner

from alpr.cli.main import app
from alpr.data.columns import COLUMNS, ManifestError
from alpr.data.importers.formats import FORMATS, export, guess
from alpr.data.importers.labels import Wanted
from alpr.data.importers.text_files import encoded_as, read_rows, read_xml
from alpr.data.importers.texts import cleaned
from alpr.data.manifest import Manifest
from alpr.data.several_tables import read_manifest

NAMED = VOC.replace(">licence<", ">车牌<")


@pytest.mark.parametrize(
    ("declared", "written"),
    [("gbk", "gbk"), ("GB2312", "gb18030"), ("utf-16", "utf-16"), ("big5", "big5"), ("", "utf-8-sig"), ("", "utf-16")],
)
def test_xml_is_read_in_the_encoding_that_it_declares_or_bears(declared: str, written: str, tmp_path: Path) -> None:
    xml = (f'<?xml version="1.0" encoding="{declared}"?>\n' if declared else "") + NAMED.replace("牌", "牌")
    if declared == "big5":
        xml = xml.replace("车", "車")
    lay_out(tmp_path, {})
    (tmp_path / "a.xml").write_bytes(xml.encode(written))
    assert guess(tmp_path) == "voc"
    manifest = FORMATS["voc"].read(tmp_path, Wanted()).manifest
    assert manifest.box.tolist() == [BOX]


def test_an_encoding_that_nothing_says_must_be_named(tmp_path: Path) -> None:
    content = {"imagePath": "a.jpg", "shapes": [{"label": "车牌", "points": QUAD, "description": "京A12345"}]}
    lay_out(tmp_path, {})
    (tmp_path / "a.json").write_bytes(json.dumps(content, ensure_ascii=False).encode("gbk"))
    table = tmp_path / "out" / "m.csv"
    command = ["data", "convert", str(tmp_path), "--output", str(table)]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2 and "a.json is not in utf-8" in refused.output and "--encoding" in refused.output
    done = CliRunner().invoke(app, [*command, "--encoding", "gbk"])
    assert done.exit_code == 0, done.output
    assert read_manifest(table).text == ["京A12345"]
    wrong = CliRunner().invoke(app, [*command, "--encoding", "klingon"])
    assert wrong.exit_code == 2 and "There is no encoding 'klingon'" in wrong.output


def test_xml_that_declares_another_encoding_than_it_has(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(('<?xml version="1.0" encoding="utf-8"?>' + NAMED).encode("gbk"))
    with pytest.raises(ManifestError, match=r"is not in utf-8: byte .* --encoding"):
        read_xml(tmp_path / "a.xml")
    with encoded_as("gbk"):
        assert read_xml(tmp_path / "a.xml").findtext("object/name") == "车牌"


def test_texts_lose_what_nobody_sees(tmp_path: Path) -> None:
    texts = ["\u200eAB1", "A\u200bB2", "\ufeffAB3", "أبج\u200f١", "ＡＢ４", "A B5", "皖A·6", "AB7"]
    taken, notes = cleaned(texts)
    assert taken == ["AB1", "AB2", "AB3", "أبج١", "AB4", "AB5", "皖A·6", "AB7"]
    assert notes == [
        "4 texts held marks that nobody sees (U+200B, U+200E, U+200F, U+FEFF), which were taken out.",
        "1 texts were brought to Unicode's NFKC, such as full-width letters to ordinary ones.",
        "1 texts held spaces, which were taken out.",
    ]
    line = "a.jpg\t" + json.dumps([{"transcription": "\u200eＡ1", "points": QUAD}])
    imported = FORMATS["paddle-det"].read(lay_out(tmp_path, {"det.txt": line}), Wanted())
    assert imported.manifest.text == ["A1"] and any("U+200E" in note for note in imported.notes)
    Manifest.of(tmp_path, ["a.jpg"], text=["A\u200b1"], box=[BOX]).write(tmp_path / "m.csv")
    own = FORMATS["manifest"].read(tmp_path / "m.csv", Wanted())
    assert own.manifest.text == ["A1"] and any("U+200B" in note for note in own.notes)


def test_paddle_texts_that_are_none(tmp_path: Path) -> None:
    entries = [
        {"transcription": text, "points": [[x + 20 * i, y] for x, y in QUAD], "difficult": difficult}
        for i, (text, difficult) in enumerate([("AB1", False), ("XX", True), ("待识别", False), ("###", True)])
    ]
    source = lay_out(tmp_path, {"Label.txt": "a.jpg\t" + json.dumps(entries, ensure_ascii=False)})
    imported = FORMATS["paddle-det"].read(source, Wanted())
    assert imported.manifest.text == ["AB1", "", "", ""]
    assert imported.manifest.extra["kind"] == ["", "", "", "ignore"]
    assert sum("1 texts are" in note for note in imported.notes) == 2
    crops = lay_out(tmp_path / "crops", {"rec_gt.txt": "a.jpg\tAB1\nb.jpg\t待识别\n"}, ["a.jpg", "b.jpg"])
    assert FORMATS["paddle-rec"].read(crops, Wanted()).manifest.image == ["a.jpg"]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            {"a.txt": "0 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1\n"},
            "Nearest is yolo: a.txt, line 2, does not fit it: '0 0.5 0.5 0.1'",
        ),
        ({"a.csv": "image,text,x1,y1,x2,y2\n"}, "Nearest is manifest: a.csv, line 1, lacks country, tl_x"),
        (
            {"a.csv": ",".join(COLUMNS) + "\n"},
            "Nearest is manifest: a.csv has its columns; give the file itself: .*a.csv",
        ),
        ({"a.csv": "filename,width,height,label,xmin,ymin,xmax,ymax\n"}, "Nearest is roboflow-csv.*lacks class;"),
        ({"a.json": '{"images": [], "annotations": []}'}, "Nearest is coco: a.json, a table with .*, lacks categories"),
        ({"a.json": '{"shapes": '}, "a.json is no JSON: .*line 1"),
        ({"a.xml": "<labels><thing/></labels>"}, "Nearest is voc: a.xml has the root <labels> with thing"),
        ({"a.txt": "hello\n"}, "a.txt begins with 'hello', which is like none of them"),
        ({}, "no label file .*found 1 .jpg"),
    ],
)
def test_the_nearest_format_and_the_first_line_that_does_not_fit(files: dict, says: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=f"no known format.*{says}.*--from"):
        guess(lay_out(tmp_path, files))


def test_formats_that_can_only_be_read_say_so(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="wpod can only be read; to write there are manifest"):
        export(Manifest.of(tmp_path, ["a.jpg"], box=[BOX]), "wpod", tmp_path / "to")


def test_rows_of_tables_go_by_their_header(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('\ufeffImage;"Text"\na.jpg;"x\ny"\n\nb.jpg\nc.jpg;z\n', encoding="utf-8")
    rows = list(read_rows(tmp_path / "a.csv"))
    assert [(r.line, r.cells) for r in rows if not r.fault] == [
        (2, {"image": "a.jpg", "text": "x\ny"}),
        (6, {"image": "c.jpg", "text": "z"}),
    ]
    assert [(r.line, r.fault) for r in rows if r.fault] == [(5, "the row has 1 cells; the header has 2")]


def test_semicolons_and_capitals_in_foreign_tables(tmp_path: Path) -> None:
    table = "Filename;Width;Height;Class;Xmin;Ymin;Xmax;Ymax\na.jpg;200;80;plate;40;20;120;50\n"
    source = lay_out(tmp_path, {"a.csv": table})
    assert guess(source) == "roboflow-csv"
    assert FORMATS["roboflow-csv"].read(source, Wanted()).manifest.box.tolist() == [BOX]
