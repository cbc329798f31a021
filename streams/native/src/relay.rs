//! Relay records: what the partition of another key must know; `streams/core/relay.py` has the theory and the words.
//!
//! What is not read here is shown to Python, which says why it is none: the decision and the words are the same everywhere.

use std::cell::RefCell;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::names::{empty, Ms, Name, Names};
use crate::pack::{Malformed, Reader, Writer};
use crate::told::{Contact, RelayFact, RelayRecord, Relayed, Target, Told};

const FORMAT: i64 = 3;
/// Formats that are read.
const READ: [i64; 2] = [2, FORMAT];
/// A record gets no more facts once they take so many bytes.
const RECORD_BYTES: usize = 64 << 10;
/// The fields of a fact.
const FIELDS: usize = 12;
const REQUIRED: usize = 4;
/// No more room than this is made beforehand on the word of a record, for facts and what they list.
const MOST_ROOM: usize = 1024;
const ROOM: usize = 64;

/// What one flush of a sender tells others: facts, put together into records for each partition.
#[derive(Default)]
pub struct Bundles {
    sender: u32,
    version: i64,
    watermark: Option<Ms>,
    /// By partition: how many facts wait, and their bytes.
    lanes: Vec<(usize, Writer)>,
    records: Vec<RelayRecord>,
}

impl Bundles {
    /// Begin a flush of `sender`, one of so many partitions; `version` is its number.
    pub fn new(sender: u32, partitions: u32, version: i64, watermark: Option<Ms>) -> Bundles {
        let lanes = (0..partitions).map(|_| (0, Writer::new())).collect();
        Bundles { sender, version, watermark, lanes, records: Vec::new() }
    }

    /// Tell the partition of a target what is now true of a session.
    pub fn add(&mut self, partition: u32, (kind, target): &(Target, Name), session: &str, since: Ms, told: &Told) {
        let (facts, to) = &mut self.lanes[partition as usize];
        *facts += 1;
        to.array(FIELDS);
        write_head(to, self.sender, self.version, self.watermark);
        write_fact(to, kind.letter(), target, session, since, told);
        if to.0.len() >= RECORD_BYTES {
            self.close(partition);
        }
    }

    /// The records, also one for each partition to which there is nothing to tell but the watermark if that is for `everybody`.
    pub fn records(mut self, everybody: bool) -> Vec<RelayRecord> {
        let mut told = vec![false; self.lanes.len()];
        for record in &self.records {
            told[record.partition as usize] = true;
        }
        for partition in 0..self.lanes.len() as u32 {
            if self.lanes[partition as usize].0 > 0 || (everybody && !told[partition as usize]) {
                self.close(partition);
            }
        }
        self.records
    }

    fn close(&mut self, partition: u32) {
        let (facts, bytes) = std::mem::take(&mut self.lanes[partition as usize]);
        let mut to = Writer(Vec::with_capacity(64 + bytes.0.len()));
        to.array(FIELDS + 1);
        write_head(&mut to, self.sender, self.version, self.watermark);
        write_fact(&mut to, "", "", "", 0, &Told::default());
        to.array(facts);
        to.0.extend_from_slice(&bytes.0);
        self.records.push(RelayRecord { partition, value: to.0 });
    }
}

fn write_head(to: &mut Writer, sender: u32, version: i64, watermark: Option<Ms>) {
    to.int(FORMAT);
    to.int(i64::from(sender));
    to.int(version);
    to.maybe_int(watermark);
}

fn write_fact(to: &mut Writer, kind: &str, target: &str, session: &str, since: Ms, told: &Told) {
    to.str(kind);
    to.str(target);
    to.str(session);
    to.int(since);
    to.array(told.intervals.len());
    for (start, end) in &told.intervals {
        to.array(2);
        to.int(*start);
        to.maybe_int(*end);
    }
    to.array(told.taken.len());
    for at in &told.taken {
        to.int(*at);
    }
    to.array(told.contacts.len());
    for contact in &told.contacts {
        write_contact(to, contact);
    }
    to.array(told.reviews.len());
    for (at, queue, channel) in &told.reviews {
        to.array(3);
        to.int(*at);
        to.str(queue);
        to.str(channel);
    }
}

/// Write a contact as an array.
pub fn write_contact(to: &mut Writer, contact: &Contact) {
    to.array(6);
    to.int(contact.start);
    to.str(&contact.queue);
    to.str(&contact.channel);
    to.maybe_int(contact.end);
    to.str(&contact.end_queue);
    to.str(&contact.end_channel);
}

/// Read a relay record's value; the error is words for people.
pub fn decode_relay(value: &[u8]) -> Result<Relayed, String> {
    match read(value) {
        Ok(Some(record)) => Ok(record),
        Ok(None) | Err(_) => Err(words(value)),
    }
}

/// Ask Python why a value is no relay record.
fn words(value: &[u8]) -> String {
    let told = Python::with_gil(|py| -> PyResult<Option<String>> {
        let asked = py.import("streams.core.relay")?.call_method1("decode_relay", (PyBytes::new(py, value),));
        match asked {
            Ok(_) => Ok(None),
            Err(error) => error.value(py).getattr("detail")?.extract().map(Some),
        }
    });
    told.ok().flatten().unwrap_or_else(|| "not a relay record: it holds what this program cannot keep".to_owned())
}

thread_local! {
    /// Names that come again and again: of agents, queues and channels.
    static NAMES: RefCell<Names> = RefCell::default();
}

/// Return a name that is shared with what was read before.
pub fn shared(text: &str) -> Name {
    if text.is_empty() {
        return empty();
    }
    NAMES.with(|names| names.borrow_mut().of(text))
}

/// Read a contact.
pub fn read_contact(from: &mut Reader<'_>) -> Result<Contact, Malformed> {
    exactly(from, 6)?;
    Ok(Contact {
        start: from.int()?,
        queue: shared(from.str()?),
        channel: shared(from.str()?),
        end: from.maybe_int()?,
        end_queue: shared(from.str()?),
        end_channel: shared(from.str()?),
    })
}

/// Read a review.
pub fn read_review(from: &mut Reader<'_>) -> Result<(Ms, Name, Name), Malformed> {
    exactly(from, 3)?;
    Ok((from.int()?, shared(from.str()?), shared(from.str()?)))
}

/// Read an interval; its end is None while it lasts.
pub fn read_interval(from: &mut Reader<'_>) -> Result<(Ms, Option<Ms>), Malformed> {
    exactly(from, 2)?;
    Ok((from.int()?, from.maybe_int()?))
}

fn exactly(from: &mut Reader<'_>, length: usize) -> Result<(), Malformed> {
    if from.array()? == length {
        Ok(())
    } else {
        Err(Malformed("an array of another length"))
    }
}

fn list<T>(from: &mut Reader<'_>, read: fn(&mut Reader<'_>) -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
    let length = from.array()?;
    let mut found = Vec::with_capacity(length.min(ROOM));
    for _ in 0..length {
        found.push(read(from)?);
    }
    Ok(found)
}

/// The fields of a fact as they stand in a record; `kind` is empty where there is none.
struct Fields<'a> {
    format: i64,
    sender: i64,
    version: i64,
    watermark: Option<Ms>,
    kind: &'a str,
    target: &'a str,
    session: &'a str,
    since: Ms,
    told: Told,
}

impl Fields<'_> {
    /// The fact; None where its kind is not known.
    fn fact(self) -> Option<RelayFact> {
        let kind = Target::of(self.kind)?;
        let target = if kind == Target::Agent { shared(self.target) } else { Name::from(self.target) };
        let session = Name::from(self.session);
        Some(RelayFact { sender: self.sender, version: self.version, kind, target, session, since: self.since, told: self.told })
    }
}

/// Read so many fields, those of a fact at most; what is not there at the end stands for nothing.
fn read_fields<'a>(from: &mut Reader<'a>, fields: usize) -> Result<Fields<'a>, Malformed> {
    if fields < REQUIRED {
        return Err(Malformed("an array of another length"));
    }
    let (format, sender, version, watermark) = (from.int()?, from.int()?, from.int()?, from.maybe_int()?);
    let kind = if fields > 4 { from.str()? } else { "" };
    let target = if fields > 5 { from.str()? } else { "" };
    let session = if fields > 6 { from.str()? } else { "" };
    let since = if fields > 7 { from.int()? } else { 0 };
    let mut told = Told::default();
    if fields > 8 {
        told.intervals = list(from, read_interval)?;
    }
    if fields > 9 {
        told.taken = list(from, |from| from.int())?;
    }
    if fields > 10 {
        told.contacts = list(from, read_contact)?;
    }
    if fields > 11 {
        told.reviews = list(from, read_review)?;
    }
    Ok(Fields { format, sender, version, watermark, kind, target, session, since, told })
}

fn skip(from: &mut Reader<'_>, fields: usize) -> Result<(), Malformed> {
    (0..fields).try_for_each(|_| from.skip())
}

/// Read a value; None where it is a record of another format, or holds a fact of another kind.
fn read(value: &[u8]) -> Result<Option<Relayed>, Malformed> {
    let mut from = Reader::new(value);
    let fields = from.array()?;
    let first = read_fields(&mut from, fields)?;
    let mut facts = Vec::new();
    if fields > FIELDS {
        let count = from.array()?;
        facts.reserve(count.min(MOST_ROOM));
        for _ in 0..count {
            let fields = from.array()?;
            facts.push(read_fields(&mut from, fields)?);
            skip(&mut from, fields.saturating_sub(FIELDS))?;
        }
    }
    skip(&mut from, fields.saturating_sub(FIELDS + 1))?;
    if !from.is_done() {
        return Err(Malformed("trailing characters"));
    }
    if !READ.contains(&first.format) {
        return Ok(None);
    }
    let (sender, watermark) = (first.sender, first.watermark);
    let first = Some(first).filter(|fields| !fields.kind.is_empty());
    let facts: Option<Vec<RelayFact>> = first.into_iter().chain(facts).map(Fields::fact).collect();
    Ok(facts.map(|facts| Relayed { sender, watermark, facts }))
}
