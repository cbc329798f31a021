//! Relay records: what the partition of another key must know; `streams/core/relay.py` has the theory and the words.
//!
//! What is not read here is shown to Python, which says why it is none: the decision and the words are the same everywhere.

use std::cell::RefCell;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::names::{empty, Ms, Name, Names};
use crate::pack::{Malformed, Reader, Writer};
use crate::told::{Contact, RelayFact, Target, Told};

const FORMAT: i64 = 2;
const FIELDS: usize = 12;
const REQUIRED: usize = 4;
/// No more room than this is made beforehand on the word of a record.
const ROOM: usize = 64;

/// Return a relay record's value; `kind` None: it tells the watermark only.
#[allow(clippy::too_many_arguments)]
pub fn encode_relay(
    sender: u32,
    version: i64,
    watermark: Option<Ms>,
    kind: Option<Target>,
    target: &str,
    session: &str,
    since: Ms,
    told: &Told,
) -> Vec<u8> {
    let mut to = Writer(Vec::with_capacity(64 + target.len() + session.len()));
    to.array(FIELDS);
    to.int(FORMAT);
    to.int(i64::from(sender));
    to.int(version);
    to.maybe_int(watermark);
    to.str(kind.map_or("", Target::letter));
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
        write_contact(&mut to, contact);
    }
    to.array(told.reviews.len());
    for (at, queue, channel) in &told.reviews {
        to.array(3);
        to.int(*at);
        to.str(queue);
        to.str(channel);
    }
    to.0
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
pub fn decode_relay(value: &[u8]) -> Result<RelayFact, String> {
    match read(value) {
        Ok(Some(fact)) => Ok(fact),
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

/// Read a value; None where it is a record of another format or kind.
fn read(value: &[u8]) -> Result<Option<RelayFact>, Malformed> {
    let mut from = Reader::new(value);
    let fields = from.array()?;
    if fields < REQUIRED {
        return Err(Malformed("an array of another length"));
    }
    let format = from.int()?;
    let (sender, version, watermark) = (from.int()?, from.int()?, from.maybe_int()?);
    let kind = if fields > 4 { from.str()? } else { "" };
    let target = if fields > 5 { from.str()? } else { "" };
    let session = if fields > 6 { from.str()? } else { "" };
    let since = if fields > 7 { from.int()? } else { 0 };
    let mut told = Told::default();
    if fields > 8 {
        told.intervals = list(&mut from, read_interval)?;
    }
    if fields > 9 {
        told.taken = list(&mut from, |from| from.int())?;
    }
    if fields > 10 {
        told.contacts = list(&mut from, read_contact)?;
    }
    if fields > 11 {
        told.reviews = list(&mut from, read_review)?;
    }
    for _ in FIELDS..fields {
        from.skip()?;
    }
    if !from.is_done() {
        return Err(Malformed("trailing characters"));
    }
    let known = Target::of(kind);
    if format != FORMAT || (known.is_none() && !kind.is_empty()) {
        return Ok(None);
    }
    let target = if known == Some(Target::Agent) { shared(target) } else { Name::from(target) };
    Ok(Some(RelayFact { sender, version, watermark, kind: known, target, session: Name::from(session), since, told }))
}
