"""Words for the plates of a recogniser that are short or older than the one form; `one_form` reads them. No torch."""

PLATES = "alpr.recognition.datamodule.recognition_data"
"""What makes these data, as a configuration names it."""
SHORT = {"manifest": "manifest", "split": "split", "plates": "plates", "real": "share"}
"""Keys of the data that say something about their one source, and the source's own key."""
SHORT_RENDERED = {name: name for name in ("glyph_bank", "bank_share", "without")} | {"synthetic": "share"}
"""Keys of the data that say something about the rendered plates of the run's country, and their own key."""
GROUPED = {
    "size": "crop", "margin": "crop", "geometry": "augment", "pixels": "augment",
    "countries": "heads", "kinds": "heads",
}  # fmt: skip
"""Keys that stand below another one now."""
KEYS = frozenset((*SHORT, *SHORT_RENDERED, *GROUPED, "balance"))
"""All that the one form does not have."""
STAYING = ("manifest", "split")
"""Those of SHORT that are no older words."""
ENTRIES = ("data.sources.", "data.rendered.")
"""Below these there are entries of any name; what reads them knows which keys one has."""
