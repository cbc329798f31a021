//! The settings that shape what is counted: taken from `schemas.rules.Rules` once, looked up often.

use std::sync::Mutex;

use pyo3::prelude::*;
use rustc_hash::FxHashMap;

use crate::names::{Address, Ms, Name};
use crate::zones::{zone_of, Zone};

/// What one queue counts by; durations in ms.
#[derive(Clone, Copy, Debug)]
pub struct QueueRules {
    pub answer_ms: Ms,
    pub short_ms: Ms,
    pub placement_ms: Ms,
    pub first_response_ms: Ms,
    pub response_ms: Ms,
    pub zone: Zone,
}

/// Which partition a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partitioner {
    Murmur2,
    Crc32,
}

/// Queues of which the settings are remembered; beyond it all are forgotten and asked again.
const REMEMBERED: usize = 65_536;
const STATUSES: [&str; 8] = ["available", "busy", "away", "break", "meal", "training", "meeting", "offline"];

/// What may differ from one version of the settings to the next.
pub struct Version {
    pub zone: Zone,
    pub speech_channels: Vec<Name>,
    pub wrap_up_ms_by_channel: FxHashMap<Name, Ms>,
    pub default_capacity: i64,
    pub repeat_ms: Ms,
    statuses: FxHashMap<Name, Name>,
    queues: Mutex<FxHashMap<Address, QueueRules>>,
    source: Py<PyAny>,
}

/// All settings that decide about counting.
pub struct Rules {
    pub live: bool,
    pub partitioner: Partitioner,
    pub lateness_ms: Ms,
    pub idle_ms: Ms,
    pub max_ahead_ms: Ms,
    pub duplicates_horizon_ms: Ms,
    pub max_ids: usize,
    pub session_age_ms: Ms,
    pub session_age_by_channel: FxHashMap<Name, Ms>,
    pub session_horizon_ms: Ms,
    pub shortest_session_ms: Ms,
    pub agent_horizon_ms: Ms,
    pub agents_kept_ms: Ms,
    pub business_horizon_ms: Ms,
    pub slices_kept_ms: Ms,
    pub quarters_kept_ms: Ms,
    pub sketches_kept_ms: Ms,
    pub roster_kept_ms: Ms,
    pub silence_ms: Ms,
    pub max_cells: usize,
    pub max_milestones: usize,
    pub max_contacts: usize,
    pub agent_series: bool,
    pub max_agents: usize,
    pub hashes_customers: bool,
    /// Earlier versions end at these instants, in order; the last of `versions` holds from the last of them on.
    pub untils: Vec<Ms>,
    versions: Vec<Version>,
}

impl Version {
    fn from_python(source: &Bound<'_, PyAny>) -> PyResult<Version> {
        let zone: String = source.getattr("zone")?.extract()?;
        let mut speech_channels = Vec::new();
        for channel in source.getattr("speech_channels")?.try_iter()? {
            speech_channels.push(Name::from(channel?.extract::<String>()?));
        }
        let mut statuses = FxHashMap::default();
        for pair in source.getattr("status_map")?.call_method0("items")?.try_iter()? {
            let (from, to): (String, String) = pair?.extract()?;
            statuses.insert(Name::from(from), Name::from(to));
        }
        for status in STATUSES {
            statuses.insert(Name::from(status), Name::from(status));
        }
        Ok(Version {
            zone: zone_of(&zone),
            speech_channels,
            wrap_up_ms_by_channel: by_channel(source, "wrap_up_ms_by_channel")?,
            default_capacity: source.getattr("default_capacity")?.extract()?,
            repeat_ms: source.getattr("repeat_ms")?.extract()?,
            statuses,
            queues: Mutex::default(),
            source: source.clone().unbind(),
        })
    }

    /// What a queue on a channel counts by.
    pub fn queue(&self, address: &Address) -> QueueRules {
        let mut queues = self.queues.lock().expect("nobody panics with it");
        if let Some(found) = queues.get(address) {
            return *found;
        }
        let found = Python::with_gil(|py| self.ask(py, address)).expect("the settings answer for every queue");
        if queues.len() >= REMEMBERED {
            queues.clear();
        }
        queues.insert(address.clone(), found);
        found
    }

    fn ask(&self, py: Python<'_>, address: &Address) -> PyResult<QueueRules> {
        let found = self.source.bind(py).call_method1("queue", (&**address.name(), &**address.channel()))?;
        let ms = |name: &str| -> PyResult<Ms> { found.getattr(name)?.extract() };
        Ok(QueueRules {
            answer_ms: ms("answer_ms")?,
            short_ms: ms("short_ms")?,
            placement_ms: ms("placement_ms")?,
            first_response_ms: ms("first_response_ms")?,
            response_ms: ms("response_ms")?,
            zone: zone_of(&found.getattr("zone")?.extract::<String>()?),
        })
    }

    /// The standard status that a name stands for, None where nothing maps it.
    pub fn status(&self, name: &str) -> Option<&Name> {
        self.statuses.get(name)
    }

    pub fn is_speech(&self, channel: &str) -> bool {
        self.speech_channels.iter().any(|speech| &**speech == channel)
    }
}

fn by_channel(source: &Bound<'_, PyAny>, name: &str) -> PyResult<FxHashMap<Name, Ms>> {
    let mut found = FxHashMap::default();
    for pair in source.getattr(name)?.call_method0("items")?.try_iter()? {
        let (channel, ms): (String, Ms) = pair?.extract()?;
        found.insert(Name::from(channel), ms);
    }
    Ok(found)
}

impl Rules {
    /// Take a `schemas.rules.Rules`.
    pub fn from_python(source: &Bound<'_, PyAny>) -> PyResult<Rules> {
        let ms = |name: &str| -> PyResult<Ms> { source.getattr(name)?.extract() };
        let size = |name: &str| -> PyResult<usize> { source.getattr(name)?.extract() };
        let mut untils = Vec::new();
        let mut versions = Vec::new();
        for pair in source.getattr("earlier")?.try_iter()? {
            let (until, version): (Ms, Bound<'_, PyAny>) = pair?.extract()?;
            untils.push(until);
            versions.push(Version::from_python(&version)?);
        }
        versions.push(Version::from_python(source)?);
        let partitioner: String = source.getattr("partitioner")?.extract()?;
        Ok(Rules {
            live: source.getattr("live")?.extract()?,
            partitioner: if partitioner == "crc32" { Partitioner::Crc32 } else { Partitioner::Murmur2 },
            lateness_ms: ms("lateness_ms")?,
            idle_ms: ms("idle_ms")?,
            max_ahead_ms: ms("max_ahead_ms")?,
            duplicates_horizon_ms: ms("duplicates_horizon_ms")?,
            max_ids: size("max_ids")?,
            session_age_ms: ms("session_age_ms")?,
            session_age_by_channel: by_channel(source, "session_age_by_channel")?,
            session_horizon_ms: ms("session_horizon_ms")?,
            shortest_session_ms: ms("shortest_session_ms")?,
            agent_horizon_ms: ms("agent_horizon_ms")?,
            agents_kept_ms: ms("agents_kept_ms")?,
            business_horizon_ms: ms("business_horizon_ms")?,
            slices_kept_ms: ms("slices_kept_ms")?,
            quarters_kept_ms: ms("quarters_kept_ms")?,
            sketches_kept_ms: ms("sketches_kept_ms")?,
            roster_kept_ms: ms("roster_kept_ms")?,
            silence_ms: ms("silence_ms")?,
            max_cells: size("max_cells")?,
            max_milestones: size("max_milestones")?,
            max_contacts: size("max_contacts")?,
            agent_series: source.getattr("agent_series")?.extract()?,
            max_agents: size("max_agents")?,
            hashes_customers: !source.getattr("customer_key")?.is_none(),
            untils,
            versions,
        })
    }

    /// The version in force at an instant, by its number; equal numbers are the same version.
    pub fn number_at(&self, at: Ms) -> usize {
        // the first `until` above `at`, as `Rules.at` looks for it
        self.untils.iter().position(|until| at < *until).unwrap_or(self.untils.len())
    }

    /// The version in force at an instant.
    pub fn at(&self, at: Ms) -> &Version {
        if self.untils.is_empty() {
            return &self.versions[0];
        }
        &self.versions[self.number_at(at)]
    }

    /// What is kept of a customer's id.
    pub fn customer(&self, id: &str) -> Name {
        if !self.hashes_customers {
            return Name::from(id);
        }
        let source = &self.versions[self.versions.len() - 1].source;
        Python::with_gil(|py| -> PyResult<String> { source.bind(py).call_method1("customer", (id,))?.extract() })
            .expect("any text has a hash")
            .into()
    }

    /// The partition of a key.
    pub fn partition_of(&self, key: &[u8], partitions: u32) -> u32 {
        match self.partitioner {
            Partitioner::Murmur2 => (murmur2(key) & 0x7fff_ffff) % partitions,
            Partitioner::Crc32 => crc32fast::hash(key) % partitions,
        }
    }
}

/// The 32-bit MurmurHash2 that the Java client uses.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut h = 0x9747_b28c ^ data.len() as u32;
    let words = data.chunks_exact(4);
    let rest = words.remainder();
    for word in words {
        let mut k = u32::from_le_bytes(word.try_into().expect("four bytes")).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        let k = rest.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        h = (h ^ k).wrapping_mul(M);
    }
    h = (h ^ (h >> 13)).wrapping_mul(M);
    h ^ (h >> 15)
}
