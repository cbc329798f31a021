//! What the client fetched of one partition, read as it lies in the log, without an object for each record.
//!
//! `Reader` goes through the record batches of format 2 (the one of all brokers since 2017): it checks and unpacks them, leaves out control
//! batches and, for reading what is committed, those of aborted transactions. It does what aiokafka's `PartitionRecords` does.
//! `Records` are the places of records in the bytes; `streams/fetches.py` has the theory.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use memchr::memmem;
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

const HEAD: usize = 61;
/// A batch's bytes before its length begins to count.
const LENGTH_END: usize = 12;
const MAGIC: u8 = 2;
const CODEC: u16 = 0x07;
const BROKERS_TIME: u16 = 0x08;
const TRANSACTIONAL: u16 = 0x10;
const CONTROL: u16 = 0x20;
/// Version 0, abort.
const ABORT_MARKER: [u8; 4] = [0, 0, 0, 0];
const NONE: i32 = -1;

/// Key and value of a record.
pub type Pair<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);
type Header<'py> = (String, Option<Bound<'py, PyBytes>>);
type Whole<'py> = (i64, i64, u8, Option<Bound<'py, PyBytes>>, Option<Bound<'py, PyBytes>>, Vec<Header<'py>>);

/// Where a record is: in which buffer, key and value from where to where (a length of `NONE`: there is none).
struct Place {
    offset: i64,
    timestamp: i64,
    buffer: u32,
    key: u32,
    key_length: i32,
    value: u32,
    value_length: i32,
    headers: u32,
}

struct Buffer {
    bytes: Py<PyBytes>,
    /// Whether the broker set the time (1) or the producer (0).
    timestamp_type: u8,
}

#[derive(Default)]
struct Lot {
    buffers: Vec<Buffer>,
    places: Vec<Place>,
}

fn part(data: &[u8], start: u32, length: i32) -> Option<&[u8]> {
    let (start, length) = (start as usize, usize::try_from(length).ok()?);
    data.get(start..start + length)
}

/// Some records of one partition, in offset order.
#[pyclass(frozen)]
pub struct Records {
    lot: Arc<Lot>,
    begin: usize,
    end: usize,
}

impl Records {
    fn places(&self) -> &[Place] {
        &self.lot.places[self.begin..self.end]
    }

    fn buffers<'py>(&'py self, py: Python<'py>) -> Vec<&'py [u8]> {
        self.lot.buffers.iter().map(|buffer| buffer.bytes.as_bytes(py)).collect()
    }

    /// Keys and values.
    pub fn pairs<'py>(&'py self, py: Python<'py>) -> Vec<Pair<'py>> {
        let buffers = self.buffers(py);
        let pair = |place: &Place| {
            let data = buffers[place.buffer as usize];
            (part(data, place.key, place.key_length), part(data, place.value, place.value_length))
        };
        self.places().iter().map(pair).collect()
    }
}

#[pymethods]
impl Records {
    fn __len__(&self) -> usize {
        self.end - self.begin
    }

    /// Whether each offset is the one before and 1.
    fn is_dense(&self) -> bool {
        match (self.places().first(), self.places().last()) {
            (Some(first), Some(last)) => last.offset - first.offset == (self.end - self.begin - 1) as i64,
            _ => true,
        }
    }

    fn offset(&self, index: usize) -> PyResult<i64> {
        let place = self.places().get(index).ok_or_else(|| PyIndexError::new_err("no such record"))?;
        Ok(place.offset)
    }

    fn offsets(&self) -> Vec<i64> {
        self.places().iter().map(|place| place.offset).collect()
    }

    /// How many bytes the values take.
    fn value_bytes(&self) -> i64 {
        self.places().iter().map(|place| i64::from(place.value_length.max(0))).sum()
    }

    /// Those from one place up to another.
    fn piece(&self, begin: usize, end: usize) -> Records {
        let end = self.end.min(self.begin + end);
        Records { lot: self.lot.clone(), begin: end.min(self.begin + begin), end }
    }

    /// The values that hold some bytes.
    fn holding<'py>(&self, py: Python<'py>, needle: &[u8]) -> Vec<Bound<'py, PyBytes>> {
        let (finder, buffers) = (memmem::Finder::new(needle), self.buffers(py));
        let value = |place: &Place| part(buffers[place.buffer as usize], place.value, place.value_length);
        let found = self.places().iter().filter_map(value).filter(|value| finder.find(value).is_some());
        found.map(|value| PyBytes::new(py, value)).collect()
    }

    /// A record: (offset, timestamp in ms, its type, key, value, headers).
    fn record<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Whole<'py>> {
        let place = self.places().get(index).ok_or_else(|| PyIndexError::new_err("no such record"))?;
        let buffer = &self.lot.buffers[place.buffer as usize];
        let data = buffer.bytes.as_bytes(py);
        let bytes = |start, length| part(data, start, length).map(|bytes| PyBytes::new(py, bytes));
        let (key, value) = (bytes(place.key, place.key_length), bytes(place.value, place.value_length));
        let mut from = Cursor { data, at: place.headers as usize };
        let count = from.length().map_err(PyValueError::new_err)?.unwrap_or(0);
        let mut headers = Vec::new();
        for _ in 0..count {
            let (start, length) = from.bytes().map_err(PyValueError::new_err)?;
            let name = String::from_utf8_lossy(part(data, start, length).unwrap_or_default()).into_owned();
            let (start, length) = from.bytes().map_err(PyValueError::new_err)?;
            headers.push((name, bytes(start, length)));
        }
        Ok((place.offset, place.timestamp, buffer.timestamp_type, key, value, headers))
    }
}

/// Reads numbers of variable length, and what they are the length of.
struct Cursor<'a> {
    data: &'a [u8],
    at: usize,
}

const SHORT: &str = "it ends within a record";

impl Cursor<'_> {
    fn number(&mut self) -> Result<i64, &'static str> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.data.get(self.at).ok_or(SHORT)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err("a number without end")
    }

    /// A count or a length, None for -1.
    fn length(&mut self) -> Result<Option<usize>, &'static str> {
        match self.number()? {
            -1 => Ok(None),
            length => usize::try_from(length).ok().filter(|length| *length <= self.data.len()).map(Some).ok_or(SHORT),
        }
    }

    /// Where some bytes are, and how long they are (`NONE`: there are none).
    fn bytes(&mut self) -> Result<(u32, i32), &'static str> {
        let Some(length) = self.length()? else { return Ok((self.at as u32, NONE)) };
        let start = self.at;
        self.at += length;
        if self.at > self.data.len() {
            return Err(SHORT);
        }
        Ok((start as u32, length as i32))
    }
}

/// The head of a record batch.
struct Head {
    base: i64,
    /// Where the batch ends in the answer.
    end: usize,
    attributes: u16,
    next: i64,
    first_timestamp: i64,
    max_timestamp: i64,
    producer: i64,
    count: usize,
}

fn number<const N: usize>(data: &[u8], at: usize) -> [u8; N] {
    data[at..at + N].try_into().unwrap_or([0; N])
}

/// Where the batch that begins there ends, if the answer holds all of it.
fn end_of(data: &[u8], at: usize) -> Option<usize> {
    if data.len() < at + LENGTH_END {
        return None;
    }
    let length = usize::try_from(i32::from_be_bytes(number(data, at + 8))).ok()?;
    let end = at + LENGTH_END + length;
    (end <= data.len()).then_some(end)
}

impl Head {
    fn read(data: &[u8], at: usize, end: usize) -> Result<Head, &'static str> {
        if end < at + HEAD {
            return Err("a batch shorter than its head");
        }
        let sum = u32::from_be_bytes(number(data, at + 17));
        if crc32c::crc32c(&data[at + 21..end]) != sum {
            return Err("the checksum of a batch differs");
        }
        let base = i64::from_be_bytes(number(data, at));
        Ok(Head {
            base,
            end,
            attributes: u16::from_be_bytes(number(data, at + 21)),
            next: base + i64::from(i32::from_be_bytes(number(data, at + 23))) + 1,
            first_timestamp: i64::from_be_bytes(number(data, at + 27)),
            max_timestamp: i64::from_be_bytes(number(data, at + 35)),
            producer: i64::from_be_bytes(number(data, at + 43)),
            count: usize::try_from(i32::from_be_bytes(number(data, at + 57))).map_err(|_| "a negative number of records")?,
        })
    }

    /// Note where the records of this batch are, without those before an offset.
    fn index(&self, data: &[u8], start: usize, buffer: u32, from: i64, places: &mut Vec<Place>) -> Result<(), &'static str> {
        let mut cursor = Cursor { data, at: start };
        for _ in 0..self.count {
            let length = cursor.length()?.ok_or("a record without a length")?;
            let end = cursor.at + length;
            cursor.number()?; // attributes, of which there are none; a byte, which aiokafka reads like this
            let delta = cursor.number()?;
            let offset = self.base + cursor.number()?;
            let (key, key_length) = cursor.bytes()?;
            let (value, value_length) = cursor.bytes()?;
            let headers = cursor.at as u32;
            let count = cursor.length()?.ok_or("a negative number of headers")?;
            for _ in 0..2 * count {
                cursor.bytes()?;
            }
            if cursor.at != end {
                return Err("a record of another length than it says");
            }
            if offset >= from {
                let brokers = self.attributes & BROKERS_TIME != 0;
                let timestamp = if brokers { self.max_timestamp } else { self.first_timestamp.wrapping_add(delta) };
                places.push(Place { offset, timestamp, buffer, key, key_length, value, value_length, headers });
            }
        }
        if cursor.at == data.len() {
            Ok(())
        } else {
            Err("more than the records that a batch says to hold")
        }
    }
}

/// Reads an answer of the broker for one partition, batch by batch.
#[pyclass]
pub struct Reader {
    data: Py<PyBytes>,
    at: usize,
    /// The offset that is to be read next.
    #[pyo3(get)]
    next_fetch_offset: i64,
    /// How many offsets of control batches were passed since somebody asked.
    markers: i64,
    /// Of aborted transactions: where they begin, and whose they are.
    aborted: VecDeque<(i64, i64)>,
    aborted_producers: HashSet<i64>,
    decompress: PyObject,
    rest: Option<Records>,
    /// The offset behind the batch of which `rest` is.
    behind: i64,
}

#[pymethods]
impl Reader {
    /// Read bytes from an offset on; `aborted`: (producer, first offset) each; `decompress`: (codec, bytes) -> bytes.
    #[new]
    fn new(data: Py<PyBytes>, offset: i64, aborted: Vec<(i64, i64)>, decompress: PyObject) -> Reader {
        let mut aborted: Vec<(i64, i64)> = aborted.into_iter().map(|(producer, first)| (first, producer)).collect();
        aborted.sort_unstable();
        Reader {
            data,
            at: 0,
            next_fetch_offset: offset,
            markers: 0,
            aborted: aborted.into(),
            aborted_producers: HashSet::new(),
            decompress,
            rest: None,
            behind: offset,
        }
    }

    /// Whether all batches are of the format that this reads.
    #[staticmethod]
    fn can_read(data: &[u8]) -> bool {
        let mut at = 0;
        while let Some(end) = end_of(data, at) {
            if end < at + 17 || data[at + 16] != MAGIC {
                return false;
            }
            at = end;
        }
        true
    }

    /// Take the number of control offsets passed since the last time.
    fn take_markers(&mut self) -> i64 {
        std::mem::take(&mut self.markers)
    }

    /// Whether nothing is left.
    fn is_done(&self, py: Python<'_>) -> bool {
        self.rest.is_none() && end_of(self.data.as_bytes(py), self.at).is_none()
    }

    /// Return the next records, at most so many; raises `ValueError` for a damaged batch, whereupon nothing is left.
    fn read(&mut self, py: Python<'_>, most: usize) -> PyResult<Records> {
        let records = match self.rest.take() {
            Some(rest) => rest,
            None => match self.scan(py, most) {
                Ok(records) => records,
                Err(error) => {
                    (self.at, self.behind) = (usize::MAX / 2, self.next_fetch_offset);
                    return Err(error);
                }
            },
        };
        if records.end - records.begin <= most {
            self.next_fetch_offset = self.behind;
            return Ok(records);
        }
        let cut = records.begin + most;
        self.next_fetch_offset = records.lot.places[cut - 1].offset + 1;
        self.rest = Some(Records { lot: records.lot.clone(), begin: cut, end: records.end });
        Ok(Records { lot: records.lot, begin: records.begin, end: cut })
    }
}

impl Reader {
    fn scan(&mut self, py: Python<'_>, most: usize) -> PyResult<Records> {
        let mut lot = Lot::default();
        let answer = self.data.clone_ref(py);
        let data = answer.as_bytes(py);
        while lot.places.len() < most {
            let Some(end) = end_of(data, self.at) else { break };
            let head = Head::read(data, self.at, end).map_err(PyValueError::new_err)?;
            let payload = self.at + HEAD;
            if self.holds_records(&data[payload..end], &head) {
                let (bytes, start) = match head.attributes & CODEC {
                    0 => (answer.clone_ref(py), payload),
                    codec => {
                        let unpacked = self.decompress.call1(py, (codec, PyBytes::new(py, &data[payload..end])))?;
                        (unpacked.extract(py)?, 0)
                    }
                };
                let known = lot.buffers.last().filter(|last| last.bytes.is(&bytes));
                let timestamp_type = u8::from(head.attributes & BROKERS_TIME != 0);
                if !known.is_some_and(|last| last.timestamp_type == timestamp_type) {
                    lot.buffers.push(Buffer { bytes: bytes.clone_ref(py), timestamp_type });
                }
                let held = bytes.as_bytes(py);
                let held = if head.attributes & CODEC == 0 { &held[..end] } else { held };
                let buffer = (lot.buffers.len() - 1) as u32;
                head.index(held, start, buffer, self.next_fetch_offset, &mut lot.places).map_err(PyValueError::new_err)?;
            }
            self.behind = self.behind.max(head.next);
            self.at = head.end;
        }
        let end = lot.places.len();
        Ok(Records { lot: Arc::new(lot), begin: 0, end })
    }

    /// Tell whether a batch holds records for us: it is no control batch, and not of a transaction that was aborted.
    fn holds_records(&mut self, payload: &[u8], head: &Head) -> bool {
        while self.aborted.front().is_some_and(|(first, _)| *first <= head.base) {
            self.aborted_producers.extend(self.aborted.pop_front().map(|(_, producer)| producer));
        }
        if head.attributes & CONTROL != 0 {
            if marker_of(payload) == Some(ABORT_MARKER) {
                self.aborted_producers.remove(&head.producer);
            }
            self.markers += head.next - head.base;
            return false;
        }
        head.attributes & TRANSACTIONAL == 0 || !self.aborted_producers.contains(&head.producer)
    }
}

/// What a control batch says: the beginning of its record's key.
fn marker_of(payload: &[u8]) -> Option<[u8; 4]> {
    let mut cursor = Cursor { data: payload, at: 0 };
    cursor.length().ok()?;
    for _ in 0..3 {
        cursor.number().ok()?;
    }
    let (start, length) = cursor.bytes().ok()?;
    part(payload, start, length)?.get(..4)?.try_into().ok()
}
