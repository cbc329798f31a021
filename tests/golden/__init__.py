"""Golden files: journals and readings as earlier programs wrote them, and what they stand for.

Each folder holds what one program wrote: `meta.json` (its versions), `events` (what it was fed; the second part comes after the
load), `journal` (partition, offset, bytes), `state` (what the journal folds to), `published` (readings as bytes), `readings`
(the cells after the second part). All but the first are gzipped JSON lines; bytes are base64. Folders are added, never changed.
"""
