"""The journal: one atomic record a flush, from which every owner of a partition starts.

`record` is the format, `fold` turns records into state, `rolling` chooses what is repeated, `contiguity` watches the
inputs' offsets: these four decide and never wait. `log` and `outlet` talk to Kafka and decide nothing.
"""

from streams.journal.contiguity import Cut, Explanation, Finding, Span, cut
from streams.journal.fold import KEPT_CYCLES, Fold, Folded
from streams.journal.log import Journal, offsets_from
from streams.journal.outlet import Outlet
from streams.journal.record import Claim, Delta, Outgoing, Written, decode, encode, encode_within, pack, thaw_entries, unpack
from streams.journal.rolling import Piece, Rolling

__all__ = [
    "KEPT_CYCLES",
    "Claim",
    "Cut",
    "Delta",
    "Explanation",
    "Finding",
    "Fold",
    "Folded",
    "Journal",
    "Outgoing",
    "Outlet",
    "Piece",
    "Rolling",
    "Span",
    "Written",
    "cut",
    "decode",
    "encode",
    "encode_within",
    "offsets_from",
    "pack",
    "thaw_entries",
    "unpack",
]
