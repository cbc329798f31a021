//! Event ids already applied: how repetitions are recognised; `streams/core/ids.py` has the theory.

use std::hash::{BuildHasherDefault, Hasher};

use rustc_hash::FxHashMap;

use crate::names::Ms;

/// The hasher of what is a hash already.
#[derive(Default)]
pub struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only 64-bit hashes are kept")
    }

    fn write_u64(&mut self, digest: u64) {
        self.0 = digest;
    }
}

/// The number of a horizon's length of event time, and a chunk's place among those of it.
pub type ChunkId = (i64, usize);

/// The most ids of a chunk, 1 MiB: the journal takes no entry of more than a few.
const CHUNK_IDS: usize = 65_536;

type Digests = std::collections::HashSet<u64, BuildHasherDefault<Itself>>;

/// The ids of one horizon's length of event time.
#[derive(Default)]
struct Generation {
    number: i64,
    digests: Digests,
    chunks: Vec<Vec<u8>>,
    /// (digest, event time) of what is in no chunk yet.
    fresh: Vec<(u64, u64)>,
    /// Event times, once they were asked for, and how many chunks they are from.
    times: FxHashMap<u64, u64>,
    timed: usize,
}

impl Generation {
    fn time_of(&mut self, digest: u64) -> Ms {
        if !self.times.contains_key(&digest) {
            for chunk in &self.chunks[self.timed..] {
                self.times.extend(pairs_of(chunk));
            }
            self.times.extend(self.fresh.iter().copied());
            self.timed = self.chunks.len();
        }
        self.times.get(&digest).map_or(0, |at| *at as Ms)
    }
}

fn pairs_of(chunk: &[u8]) -> impl Iterator<Item = (u64, u64)> + '_ {
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    chunk.chunks_exact(16).map(move |pair| (number(&pair[..8]), number(&pair[8..])))
}

/// Ids of one partition; at most `max_ids` of them, none longer than `kept_ms` behind the watermark.
pub struct Ids {
    pub horizon_ms: Ms,
    kept_ms: Ms,
    max_ids: usize,
    pub evicted: i64,
    /// The first generation that has not been dropped yet.
    pub first: i64,
    /// In order of their numbers.
    generations: Vec<Generation>,
    /// Chunks of another horizon, until they are handed out as gone.
    replaced: Vec<ChunkId>,
    /// Where the generation of the newest claim stands.
    here: usize,
}

impl Ids {
    /// Start empty; `kept_ms` less than the horizon means the horizon.
    pub fn new(horizon_ms: Ms, max_ids: usize, kept_ms: Ms) -> Ids {
        let horizon_ms = horizon_ms.max(1);
        let kept_ms = horizon_ms.max(kept_ms);
        Ids { horizon_ms, kept_ms, max_ids, evicted: 0, first: 0, generations: Vec::new(), replaced: Vec::new(), here: 0 }
    }

    /// Where a generation stands, or would stand.
    fn find(&self, number: i64) -> Result<usize, usize> {
        if self.generations.get(self.here).is_some_and(|generation| generation.number == number) {
            return Ok(self.here);
        }
        self.generations.binary_search_by_key(&number, |generation| generation.number)
    }

    fn stands_at(&mut self, number: i64) -> usize {
        match self.find(number) {
            Ok(place) => place,
            Err(place) => {
                self.generations.insert(place, Generation { number, ..Generation::default() });
                place
            }
        }
    }

    /// Whether a neighbour of the generation at a place knows an id of a time at most the horizon away.
    fn is_near(&mut self, number: i64, digest: u64, at: Ms) -> bool {
        for neighbour in [number - 1, number + 1] {
            if let Ok(place) = self.find(neighbour) {
                let generation = &mut self.generations[place];
                if generation.digests.contains(&digest) && (generation.time_of(digest) - at).abs() <= self.horizon_ms {
                    return true;
                }
            }
        }
        false
    }

    /// Whether an id of this time would be a repetition.
    pub fn knows(&mut self, digest: u64, at: Ms) -> bool {
        let number = at.div_euclid(self.horizon_ms);
        let here = self.find(number).is_ok_and(|place| self.generations[place].digests.contains(&digest));
        here || self.is_near(number, digest, at)
    }

    /// Remember an id; return false if it is a repetition (and then remember nothing).
    pub fn claim(&mut self, digest: u64, at: Ms) -> bool {
        let number = at.div_euclid(self.horizon_ms);
        self.here = self.stands_at(number);
        if self.generations.len() > 1 && self.is_near(number, digest, at) {
            return false;
        }
        let generation = &mut self.generations[self.here];
        let is_new = generation.digests.insert(digest);
        if is_new {
            generation.fresh.push((digest, at as u64));
        }
        is_new
    }

    /// Whether any event that one of this time may repeat is still remembered.
    pub fn covers(&self, at: Ms) -> bool {
        at >= (self.first + 1) * self.horizon_ms
    }

    /// The least event time of which ids are still remembered.
    pub fn kept_from(&self) -> Ms {
        self.first * self.horizon_ms
    }

    /// Cut what came since the last call into chunks, which are handed to `take`.
    pub fn chunks(&mut self, mut take: impl FnMut(ChunkId, &[u8])) {
        for generation in &mut self.generations {
            if generation.fresh.is_empty() {
                continue;
            }
            for fresh in generation.fresh.chunks(CHUNK_IDS) {
                let mut chunk = Vec::with_capacity(16 * fresh.len());
                for (digest, at) in fresh {
                    chunk.extend_from_slice(&digest.to_le_bytes());
                    chunk.extend_from_slice(&at.to_le_bytes());
                }
                take((generation.number, generation.chunks.len()), &chunk);
                generation.chunks.push(chunk);
            }
            generation.fresh.clear();
        }
    }

    /// Drop generations that are over, and the oldest ones beyond the limit; return their chunks.
    pub fn drop_old(&mut self, watermark: Option<Ms>) -> Vec<ChunkId> {
        let mut gone = Vec::new();
        if let Some(mark) = watermark {
            let over = |generation: &Generation| (generation.number + 1) * self.horizon_ms + self.kept_ms <= mark;
            let numbers: Vec<i64> = self.generations.iter().filter(|each| over(each)).map(|each| each.number).collect();
            for number in numbers {
                self.drop_one(number, &mut gone);
            }
        }
        while self.len() > self.max_ids && self.generations.len() > 1 {
            self.evicted += self.generations[0].digests.len() as i64;
            let oldest = self.generations[0].number;
            self.drop_one(oldest, &mut gone);
        }
        let generations = &self.generations;
        let is_cut = |(number, place): &ChunkId| {
            generations.iter().any(|each| {
                let (first, more) = (each.chunks.len(), (each.fresh.len() + CHUNK_IDS - 1) / CHUNK_IDS);
                each.number == *number && (first..first + more).contains(place)
            })
        };
        gone.extend(self.replaced.drain(..).filter(|id| !is_cut(id)));
        gone
    }

    fn drop_one(&mut self, number: i64, gone: &mut Vec<ChunkId>) {
        if let Ok(place) = self.find(number) {
            let generation = self.generations.remove(place);
            gone.extend((0..generation.chunks.len()).map(|n| (number, n)));
        }
        self.here = 0;
        self.first = self.first.max(number + 1);
    }

    /// All chunks.
    pub fn chunk_ids(&self) -> impl Iterator<Item = ChunkId> + '_ {
        self.generations.iter().flat_map(|each| (0..each.chunks.len()).map(move |n| (each.number, n)))
    }

    /// A chunk, None if it is gone.
    pub fn chunk(&self, (number, position): ChunkId) -> Option<&[u8]> {
        let place = self.find(number).ok()?;
        self.generations[place].chunks.get(position).map(Vec::as_slice)
    }

    /// Take chunks back in, `first` having been set; `newest`: event time of the newest id that there ever was.
    pub fn restore(&mut self, mut chunks: Vec<(ChunkId, Vec<u8>)>, newest: Ms) {
        chunks.sort_by_key(|chunk| chunk.0);
        let horizon_ms = self.horizon_ms;
        let belongs = |at: u64| (at as Ms).div_euclid(horizon_ms);
        if chunks.iter().any(|(id, chunk)| pairs_of(chunk).any(|(_, at)| belongs(at) != id.0)) {
            self.put_anew(&chunks);
            self.replaced = chunks.into_iter().map(|(id, _)| id).collect();
            return;
        }
        // one more, where a repetition of the newest one came from the next generation
        let after = newest.div_euclid(horizon_ms) + 1;
        if self.first > 0 && chunks.is_empty() && !(after..=after + 1).contains(&self.first) {
            self.first = after; // of another horizon, of which all are forgotten
        }
        for ((number, _), chunk) in chunks {
            let place = self.stands_at(number);
            let generation = &mut self.generations[place];
            generation.digests.extend(pairs_of(&chunk).map(|pair| pair.0));
            generation.chunks.push(chunk);
        }
    }

    /// Put ids of chunks of another horizon where they belong, to be cut anew.
    ///
    /// Number times horizon is at most an event's time, so the horizon of then was at most the least quotient, and hardly less.
    fn put_anew(&mut self, chunks: &[(ChunkId, Vec<u8>)]) {
        let quotients = |(id, chunk): &(ChunkId, Vec<u8>)| pairs_of(chunk).map(|(_, at)| at as Ms).min().unwrap_or(0) / id.0.max(1);
        let then = chunks.iter().map(quotients).min().unwrap_or(0);
        self.first = -(-self.first * then).div_euclid(self.horizon_ms);
        for (digest, at) in chunks.iter().flat_map(|(_, chunk)| pairs_of(chunk)) {
            let place = self.stands_at((at as Ms).div_euclid(self.horizon_ms));
            let generation = &mut self.generations[place];
            generation.digests.insert(digest);
            generation.fresh.push((digest, at));
        }
    }

    /// How many ids are remembered.
    pub fn len(&self) -> usize {
        self.generations.iter().map(|generation| generation.digests.len()).sum()
    }
}

/// The 64-bit hash under which an event id is remembered.
pub fn digest_of(buffer: &mut Vec<u8>, topic: &str, key: &str, id: &str) -> u64 {
    buffer.clear();
    buffer.extend_from_slice(topic.as_bytes());
    buffer.push(0);
    buffer.extend_from_slice(key.as_bytes());
    buffer.push(0);
    buffer.extend_from_slice(id.as_bytes());
    xxhash_rust::xxh3::xxh3_64(buffer)
}
