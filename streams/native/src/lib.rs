//! floorpulse's core, compiled: the same state and the same bytes as `streams/core`, which stays the definition.
//!
//! This file is the border to Python: it takes records and gives out entries, readings and relay records, all of them bytes.
//! While it counts, Python's other threads go on: the client's unpacks what was fetched.
//! `streams/native/__init__.py` has the class that the rest of the program uses.

mod agentbook;
mod agents;
#[cfg(target_os = "linux")]
mod apart;
mod books;
mod cell;
mod cellentries;
mod cells;
mod clock;
mod complaints;
mod course;
mod customers;
mod decode;
mod derive;
mod entries;
mod expiry;
mod facts;
mod fields;
mod floor;
mod gauges;
mod hands;
mod holds;
mod ids;
mod instants;
mod intake;
mod kept;
mod keys;
mod levels;
mod lives;
mod log;
mod milestones;
mod names;
mod numbers;
mod pack;
mod parts;
mod readings;
mod relay;
mod reviewers;
mod roster;
mod rules;
mod session;
mod sessionbook;
mod slice;
mod spare;
mod talk;
mod told;
mod totals;
mod touched;
mod zones;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use cell::Cell;
use cells::{CellId, QUARTER_MS};
use facts::{Topic, TOPICS};
use floor::Floor;
use keys::Key;
use log::Pair;
use names::{Address, Ms};
use pack::Writer;
use parts::Part;
use readings::{address_of, Stamp};
use rules::Rules;
use told::Target;

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: apart::Apart = apart::Apart;

const RELAY: &str = "relay";

/// (index, outcome, reason, words for people).
type Rejected = (usize, &'static str, String, String);
type Bytes<'py> = Bound<'py, PyBytes>;
type MaybeBytes<'py> = Option<Bytes<'py>>;
type Quarter<'py> = (&'static str, String, String, Ms, Bound<'py, PyDict>);
type Level<'py> = (&'static str, String, String, Bound<'py, PyDict>, Vec<(Ms, &'static str, i64)>);

fn dict_of(py: Python<'_>, parts: impl Iterator<Item = (Part, i64)>) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    for (part, value) in parts {
        dict.set_item(part.name(), value)?;
    }
    Ok(dict)
}

/// The state of one partition, compiled; see `streams.core.floor.Floor`.
#[pyclass(name = "Floor")]
struct PyFloor(Floor);

fn bytes_of<'a>(value: &'a Bound<'_, PyAny>) -> Option<&'a [u8]> {
    value.downcast::<PyBytes>().ok().map(|bytes| bytes.as_bytes())
}

fn topics_of(names: &[String]) -> Vec<Topic> {
    names.iter().filter_map(|name| Topic::of(name)).collect()
}

fn targets_of(kinds: &[String]) -> Vec<Target> {
    kinds.iter().filter_map(|kind| Target::of(kind)).collect()
}

impl PyFloor {
    /// Take keys and values of one topic.
    fn take(&mut self, py: Python<'_>, topic: &str, pairs: Vec<Pair<'_>>, now_ms: Ms) -> PyResult<Vec<Rejected>> {
        let known = Topic::of(topic);
        if known.is_none() && topic != RELAY {
            return Err(PyValueError::new_err(format!("unknown topic {topic:?}")));
        }
        let floor = &mut self.0;
        let rejects = py.allow_threads(|| match known {
            Some(topic) => floor.apply(topic, pairs.into_iter(), now_ms),
            None => floor.apply_relay(pairs.into_iter().map(|(_, value)| value)),
        });
        Ok(rejects.into_iter().map(|each| (each.index, each.outcome, each.reason, each.detail)).collect())
    }
}

#[pymethods]
impl PyFloor {
    /// Start empty; `settings` is the msgpack of the settings' entry.
    #[new]
    fn new(partition: u32, partitions: u32, rules: &Bound<'_, PyAny>, settings: Vec<u8>) -> PyResult<PyFloor> {
        Ok(PyFloor(Floor::new(partition, partitions, Rules::from_python(rules)?, settings)))
    }

    /// Take back in what was handed out: entries as (key, msgpack).
    fn restore(
        &mut self,
        entries: Vec<(String, Bytes<'_>)>,
        unpublished: Vec<String>,
        before: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let before = before.map(Rules::from_python).transpose()?;
        let entries: Vec<(&str, &[u8])> = entries.iter().map(|(key, value)| (key.as_str(), value.as_bytes())).collect();
        let done = self.0.restore(&entries, &unpublished, before.as_ref());
        done.map_err(|error| PyValueError::new_err(format!("damaged entry in the journal: {}", error.0)))
    }

    /// Relay to these kinds of targets (letters) only.
    fn tell(&mut self, kinds: Vec<String>) {
        self.0.tell(&targets_of(&kinds));
    }

    /// Do without journal entries, and without relay records to other kinds of targets than these letters.
    fn serve(&mut self, kinds: Vec<String>) {
        self.0.serve(&targets_of(&kinds));
    }

    /// Take a batch of records of one topic, in offset order; return those set aside.
    fn apply(
        &mut self,
        py: Python<'_>,
        topic: &str,
        keys: &Bound<'_, PyList>,
        values: &Bound<'_, PyList>,
        now_ms: Ms,
    ) -> PyResult<Vec<Rejected>> {
        let (keys, values): (Vec<_>, Vec<_>) = (keys.iter().collect(), values.iter().collect());
        let pairs = keys.iter().map(bytes_of).zip(values.iter().map(bytes_of)).collect();
        self.take(py, topic, pairs, now_ms)
    }

    /// Take records as they lie in the log; return those set aside.
    fn apply_records(&mut self, py: Python<'_>, topic: &str, records: &log::Records, now_ms: Ms) -> PyResult<Vec<Rejected>> {
        let pairs = records.pairs(py);
        self.take(py, topic, pairs, now_ms)
    }

    /// Book what was touched, and return what changed: (entries, readings without the heartbeat, relay records).
    ///
    /// Entries are (msgpack of maps, how many of them are not gone), readings (key, value or None), relay records (partition,
    /// value).
    #[allow(clippy::type_complexity)]
    fn flush<'py>(
        &mut self,
        py: Python<'py>,
        seq: i64,
        epoch: i64,
        now_ms: Ms,
        at_end: Vec<String>,
    ) -> PyResult<((Vec<Py<PyBytes>>, usize), Vec<(Bytes<'py>, MaybeBytes<'py>)>, Vec<(u32, Bytes<'py>)>)> {
        let floor = &mut self.0;
        let mut entries = Vec::new();
        let (present, readings, relay) = py.allow_threads(|| {
            let relay = floor.settle(seq, now_ms, &topics_of(&at_end));
            let now = floor.present(now_ms);
            let gone = floor.expiry.cells(&mut floor.books.cells, floor.clock.watermark, &floor.rules);
            let dropped = floor.drop_ids();
            let stamp = Stamp { partition: floor.partition, epoch, seq };
            let (readings, present) = floor.changed(stamp, now, gone, dropped, &mut |map| entries.push(python_of(map)));
            (present, readings, relay)
        });
        let record = |(key, value): (&[u8], Option<&[u8]>)| (PyBytes::new(py, key), value.map(|value| PyBytes::new(py, value)));
        let records = readings.records().map(record).collect();
        readings.leave();
        let relay = relay.iter().map(|each| (each.partition, PyBytes::new(py, &each.value)));
        Ok(((entries, present), records, relay.collect()))
    }

    /// Begin a cycle of the rolling snapshot; return how many entries there are.
    fn begin_cycle(&mut self, py: Python<'_>) -> usize {
        py.allow_threads(|| self.0.begin_cycle())
    }

    /// The next entries of the cycle as msgpack of maps, without what is gone or stands in the last flush.
    fn piece(&mut self, py: Python<'_>, size: usize) -> Vec<Py<PyBytes>> {
        let mut maps = Vec::new();
        py.allow_threads(|| self.0.piece(size, &mut |map| maps.push(python_of(map))));
        maps
    }

    /// The keys of all entries.
    fn keys(&self) -> Vec<String> {
        self.0.entry_keys().iter().map(Key::text).collect()
    }

    /// The msgpack of an entry; None if it is gone.
    fn entry<'py>(&mut self, py: Python<'py>, key: &str) -> MaybeBytes<'py> {
        let mut to = Writer::new();
        let key = Key::of(key, &mut self.0.addresses)?;
        self.0.write_entry(&key, &mut to)?;
        Some(PyBytes::new(py, &to.0))
    }

    /// A reading as it is after the last flush.
    #[allow(clippy::too_many_arguments)]
    fn reading<'py>(
        &self,
        py: Python<'py>,
        kind: &str,
        dimension: &str,
        name: &str,
        channel: &str,
        length_ms: Ms,
        start_ms: Ms,
        now_ms: Ms,
        epoch: i64,
        seq: i64,
    ) -> PyResult<(Bytes<'py>, MaybeBytes<'py>)> {
        let floor = &self.0;
        let stamp = Stamp { partition: floor.partition, epoch, seq };
        let address = address_of(dimension, name, channel);
        let address = address.ok_or_else(|| PyValueError::new_err(format!("unknown dimension {dimension:?}")))?;
        let now = floor.present(now_ms);
        let reading = floor.books.reading(stamp, kind, &address, (length_ms, start_ms), now, &floor.rules);
        let mut records = reading.records().map(|(key, value)| (PyBytes::new(py, key), value.map(|value| PyBytes::new(py, value))));
        records.next().ok_or_else(|| PyValueError::new_err("no reading"))
    }

    /// What became of the records of each topic.
    #[getter]
    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = PyDict::new(py);
        for (topic, outcomes) in TOPICS.iter().zip(&self.0.counts) {
            if let Some(outcomes) = outcomes {
                let named = PyDict::new(py);
                for (name, count) in outcomes.named() {
                    named.set_item(name, count)?;
                }
                counts.set_item(topic.text(), named)?;
            }
        }
        Ok(counts)
    }

    /// Everything that is counted beside cells.
    #[getter]
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counters = PyDict::new(py);
        for (name, count) in &self.0.books.counters {
            counters.set_item(name, count)?;
        }
        Ok(counters)
    }

    /// The watermark in ms, None while it is unknown.
    #[getter]
    fn watermark(&self) -> Option<Ms> {
        self.0.clock.watermark
    }

    /// The newest event time of each topic in ms.
    #[getter]
    fn newest<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let newest = PyDict::new(py);
        for (topic, at) in TOPICS.iter().zip(self.0.clock.newest) {
            if let Some(at) = at {
                newest.set_item(topic.text(), at)?;
            }
        }
        Ok(newest)
    }

    /// Take note of how far a topic has come elsewhere.
    fn saw(&mut self, topic: &str, newest: Ms, now_ms: Ms) {
        if let Some(topic) = Topic::of(topic) {
            self.0.clock.saw(topic, newest, now_ms);
        }
    }

    /// Take note of a sender's watermark.
    fn hear(&mut self, sender: i64, mark: Ms) {
        self.0.expiry.heard(sender, Some(mark));
    }

    /// The quarter-hours of some dimensions: (dimension, name, channel, start in ms, parts).
    fn quarters<'py>(&self, py: Python<'py>, dimensions: Vec<String>) -> PyResult<Vec<Quarter<'py>>> {
        let wanted = |address: &Address| dimensions.iter().any(|dimension| dimension == address.dimension().text());
        let cells = &self.0.books.cells;
        let quarters = cells.ids().filter(|id| id.length == QUARTER_MS && wanted(&id.address));
        let row = |id: CellId| {
            let parts = dict_of(py, cells.get(&id).iter().flat_map(|cell| cell.parts().iter().copied()))?;
            let (name, channel) = (id.address.name().to_string(), id.address.channel().to_string());
            Ok((id.address.dimension().text(), name, channel, id.number * id.length, parts))
        };
        quarters.map(row).collect()
    }

    /// The levels of some dimensions: (dimension, name, channel, parts, steps that are still to come).
    fn levels<'py>(&self, py: Python<'py>, dimensions: Vec<String>) -> PyResult<Vec<Level<'py>>> {
        let cells = &self.0.books.cells;
        let wanted = |address: &Address| dimensions.iter().any(|dimension| dimension == address.dimension().text());
        let row = |(address, cell): (&Address, &Cell)| {
            let fixed = cells.fixed.get(address).map_or(&[][..], |cell| cell.parts());
            let parts = dict_of(py, cell.parts().iter().chain(fixed).copied())?;
            let (name, channel) = (address.name().to_string(), address.channel().to_string());
            Ok((address.dimension().text(), name, channel, parts, cells.ahead_of(address)))
        };
        cells.levels.iter().filter(|(address, _)| wanted(address)).map(row).collect()
    }

    /// The newest event time of all topics in ms, None before the first.
    #[getter]
    fn newest_event(&self) -> Option<Ms> {
        self.0.clock.newest_event()
    }

    /// What is kept for days by intention: bytes by part.
    fn kept(&self) -> Vec<(&'static str, usize)> {
        kept::kept_of(&self.0)
    }

    /// How many sessions there are.
    #[getter]
    fn sessions(&self) -> usize {
        self.0.sessions.len()
    }
}

/// Bytes for Python, made while its other threads go on.
fn python_of(bytes: &[u8]) -> Py<PyBytes> {
    Python::with_gil(|py| PyBytes::new(py, bytes).unbind())
}

/// Bytes of the core's own heap, used or not, beside its large blocks; 0 where it has none of its own.
#[pyfunction]
fn heap_bytes() -> usize {
    #[cfg(target_os = "linux")]
    return apart::committed();
    #[cfg(not(target_os = "linux"))]
    return 0;
}

/// Bytes of the core's large blocks, which are mapped one by one; 0 where the system's allocator is used.
#[pyfunction]
fn large_bytes() -> usize {
    #[cfg(target_os = "linux")]
    return apart::large();
    #[cfg(not(target_os = "linux"))]
    return 0;
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(heap_bytes, module)?)?;
    module.add_function(wrap_pyfunction!(large_bytes, module)?)?;
    module.add_class::<log::Reader>()?;
    module.add_class::<log::Records>()?;
    module.add_class::<PyFloor>()
}
