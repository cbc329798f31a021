//! Parts of cells as small numbers, and their names, which are those of `schemas/parts.py`.
//!
//! Theory. A part is a number in one of a few ranges: plain parts, parts of levels (value, steps, sum), sketch buckets, histogram
//! limits, costs by currency. So what a part is follows from its number, and names are put together only where bytes leave.

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

/// A part of a cell.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Part(pub u32);

macro_rules! plain {
    ($($name:ident = $text:literal),* $(,)?) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[repr(u32)]
        enum Number { $($name),*, COUNT }
        $(pub const $name: Part = Part(Number::$name as u32);)*
        const PLAIN: u32 = Number::COUNT as u32;
        const PLAIN_NAMES: [&str; PLAIN as usize] = [$($text),*];
    };
}

plain! {
    OFFERED = "offered", ANSWERED = "answered", ANSWERED_WITHIN = "answered_within", ABANDONED = "abandoned",
    ABANDONED_WITHIN = "abandoned_within", SHORT_ABANDONED = "short_abandoned", OVERFLOWED = "overflowed",
    TIMED_OUT = "timed_out", CALLBACK = "callback", VOICEMAIL = "voicemail", CLOSED = "closed",
    LEFT_TRANSFERRED = "left_transferred", LEFT = "left", LEFT_LATE = "left_late", HANDLED = "handled", STARTED = "started",
    CONNECTED = "connected", ENDED = "ended", UNCONNECTED = "unconnected", TRANSFERRED = "transferred",
    TRANSFERRED_BLIND = "transferred_blind", TRANSFERRED_WARM = "transferred_warm", OFFERS = "offers",
    OFFERS_MISSED = "offers_missed", INVALID = "invalid", INVALID_INBOUND = "invalid_inbound",
    INVALID_OUTBOUND = "invalid_outbound", ENDED_INBOUND = "ended_inbound", ENDED_OUTBOUND = "ended_outbound",
    RESOLVED = "resolved", MESSAGES_CUSTOMER = "messages_customer", MESSAGES_AGENT = "messages_agent",
    MESSAGES_SYSTEM = "messages_system", FIRST_RESPONSE_WITHIN = "first_response_within", KNOWN_STARTED = "known_started",
    REPEAT_CONTACTS = "repeat_contacts", FCR_CONTACTS = "fcr_contacts", FCR_RESOLVED = "fcr_resolved",
    SURVEYS_SENT = "surveys_sent", RATED = "rated", RATED_GOOD = "rated_good", RATED_NEUTRAL = "rated_neutral",
    RATED_BAD = "rated_bad", REVIEWS = "reviews", REVIEWS_LIVE = "reviews_live", REVIEWS_PASSED = "reviews_passed",
    VISITS = "visits", COMPLAINTS_OPENED = "complaints_opened", COMPLAINTS_CLOSED = "complaints_closed",
    WAIT_ANSWERED_MS = "wait_answered_ms", WAIT_ABANDONED_MS = "wait_abandoned_ms", QUEUE_TIME_MS = "queue_time_ms",
    SESSION_MS = "session_ms", RING_TIME_MS = "ring_time_ms", FIRST_RESPONSE_MS = "first_response_ms",
    FIRST_REPLY_MS = "first_reply_ms", RESPONSE_TIME_MS = "response_time_ms", TALK_MS = "talk_ms", HOLD_MS = "hold_ms",
    WRAP_UP_MS = "wrap_up_ms", FIRST_RESPONSE_N = "first_response_n", RESPONSE_TIME_N = "response_time_n",
    RESPONSE_TIME_WITHIN = "response_time_within", FIRST_REPLY_N = "first_reply_n", RING_TIME_N = "ring_time_n",
    CONNECTED_INBOUND = "connected_inbound", CONNECTED_OUTBOUND = "connected_outbound",
    CONNECTED_CALLBACK = "connected_callback", UNCONNECTED_INBOUND = "unconnected_inbound",
    UNCONNECTED_OUTBOUND = "unconnected_outbound", UNCONNECTED_CALLBACK = "unconnected_callback",
    COMPLAINT_N = "complaint_n", COMPLAINT_MS = "complaint_ms", RATED_SCORE_E6 = "rated_score_e6",
    REVIEWER_DAYS = "reviewer_days", AGENT_DAYS = "agent_days", AGENTS_LEFT = "agents_left", TAKEN = "taken",
    ROSTER_SINCE = "roster_since", WAITING = "waiting", WAITING_LATE = "waiting_late",
    WAITING_PAST_ANSWER = "waiting_past_answer", ACTIVE_SESSIONS = "active_sessions", COMPLAINTS_OPEN = "complaints_open",
    OLDEST_ENTERED_AT = "oldest_entered_at",
}

/// Durations that have a sketch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[repr(u8)]
pub enum Series {
    QueueTime,
    FirstResponse,
    ResponseTime,
}

pub const SERIES: [Series; 3] = [Series::QueueTime, Series::FirstResponse, Series::ResponseTime];
const SERIES_NAMES: [&str; 3] = ["queue_time", "first_response", "response_time"];

impl Series {
    /// The part that counts it.
    pub fn count(self) -> Part {
        [LEFT, FIRST_RESPONSE_N, RESPONSE_TIME_N][self as usize]
    }

    /// The part that adds it up.
    pub fn sum(self) -> Part {
        [QUEUE_TIME_MS, FIRST_RESPONSE_MS, RESPONSE_TIME_MS][self as usize]
    }
}

/// A level of agents; see `schemas/parts.py`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Level(pub u16);

const LEVEL_NAMES: [&str; 17] = [
    "in_hand",
    "available_idle",
    "online",
    "sessions_in_hand",
    "slots",
    "status_available",
    "status_busy",
    "status_away",
    "status_break",
    "status_meal",
    "status_training",
    "status_meeting",
    "status_offline",
    "capacity",
    "slots_used",
    "slots_free",
    "roster",
];
pub const IN_HAND: Level = Level(0);
pub const AVAILABLE_IDLE: Level = Level(1);
pub const ONLINE: Level = Level(2);
pub const SESSIONS_IN_HAND: Level = Level(3);
pub const SLOTS: Level = Level(4);
pub const CAPACITY: Level = Level(13);
pub const SLOTS_USED: Level = Level(14);
pub const SLOTS_FREE: Level = Level(15);
pub const ROSTER: Level = Level(16);
const FIRST_PEAK: u16 = 17;
pub const MAX_PEAK: u16 = 1000;
const LEVELS: u32 = FIRST_PEAK as u32 + MAX_PEAK as u32 + 1;

impl Level {
    /// The level of agents with at least so many sessions in hand, 2 to `MAX_PEAK`.
    pub fn peak(n: u16) -> Level {
        Level(FIRST_PEAK + n)
    }

    /// The level of agents in a status; None for the status of those who left ("").
    pub fn status(status: &str) -> Option<Level> {
        LEVEL_NAMES.iter().position(|name| name.strip_prefix("status_") == Some(status)).map(|n| Level(n as u16))
    }

    /// Whether slices keep it: its steps and their sum.
    pub fn in_slices(self) -> bool {
        self.0 < 12 || self == ROSTER || self.0 >= FIRST_PEAK
    }

    /// The level whose present value a part is.
    pub fn of_value(part: Part) -> Option<Level> {
        let n = part.0.wrapping_sub(LEVEL_BASE);
        (n < LEVELS).then_some(Level(n as u16))
    }

    /// Its present value.
    pub fn value(self) -> Part {
        Part(LEVEL_BASE + u32::from(self.0))
    }

    /// Its steps in a slice.
    pub fn step(self) -> Part {
        Part(STEP_BASE + 2 * u32::from(self.0))
    }

    /// The sum of its steps' times in a slice.
    pub fn ms(self) -> Part {
        Part(STEP_BASE + 2 * u32::from(self.0) + 1)
    }

    fn name(self) -> String {
        match LEVEL_NAMES.get(usize::from(self.0)) {
            Some(name) => (*name).to_owned(),
            None => format!("in_hand_{}", self.0 - FIRST_PEAK),
        }
    }
}

pub const HISTOGRAM_LIMITS_MS: [i64; 17] = [
    1_000, 2_000, 5_000, 10_000, 15_000, 20_000, 30_000, 45_000, 60_000, 90_000, 120_000, 180_000, 300_000, 600_000, 1_200_000,
    1_800_000, 3_600_000,
];

const LEVEL_BASE: u32 = PLAIN;
const STEP_BASE: u32 = LEVEL_BASE + LEVELS;
const BUCKET_BASE: u32 = STEP_BASE + 2 * LEVELS;
const BUCKET_ROOM: u32 = 4096;
const HISTOGRAM_BASE: u32 = BUCKET_BASE + 3 * BUCKET_ROOM;
const HISTOGRAM_ROOM: u32 = 32;
const HISTOGRAM_MS: u32 = 18;
const COST_BASE: u32 = HISTOGRAM_BASE + 3 * HISTOGRAM_ROOM;
const COSTS: u32 = 26 * 26 * 26;

/// The part of a sketch bucket.
pub fn bucket(series: Series, bucket: u32) -> Part {
    Part(BUCKET_BASE + series as u32 * BUCKET_ROOM + bucket)
}

/// The part of the running histogram that counts a value: the one of the least limit not below it.
pub fn histogram(series: Series, value_ms: i64) -> Part {
    let n = HISTOGRAM_LIMITS_MS.partition_point(|limit| *limit < value_ms);
    Part(HISTOGRAM_BASE + series as u32 * HISTOGRAM_ROOM + n as u32)
}

/// The sum of the running histogram.
pub fn histogram_ms(series: Series) -> Part {
    Part(HISTOGRAM_BASE + series as u32 * HISTOGRAM_ROOM + HISTOGRAM_MS)
}

/// The part of the cost in a currency, three letters of A to Z.
pub fn cost(currency: &str) -> Option<Part> {
    let letters = currency.as_bytes();
    if letters.len() != 3 || !letters.iter().all(u8::is_ascii_uppercase) {
        return None;
    }
    Some(Part(COST_BASE + letters.iter().fold(0, |sum, letter| sum * 26 + u32::from(letter - b'A'))))
}

impl Part {
    /// Whether it is a sketch bucket, and of what.
    pub fn bucket_of(self) -> Option<Series> {
        let n = self.0.wrapping_sub(BUCKET_BASE);
        (n < 3 * BUCKET_ROOM).then(|| SERIES[(n / BUCKET_ROOM) as usize])
    }

    /// Whether it belongs to a running histogram: only totals have it.
    pub fn is_histogram(self) -> bool {
        self.0.wrapping_sub(HISTOGRAM_BASE) < 3 * HISTOGRAM_ROOM
    }

    /// Whether running totals or their histograms have it.
    pub fn is_running(self) -> bool {
        self.is_total() || self.is_histogram()
    }

    /// Whether running totals count it (`TOTALS` in `schemas/parts.py`).
    pub fn is_total(self) -> bool {
        matches!(
            self,
            OFFERED
                | ANSWERED
                | ABANDONED
                | SHORT_ABANDONED
                | OVERFLOWED
                | TIMED_OUT
                | CALLBACK
                | VOICEMAIL
                | CLOSED
                | LEFT
                | STARTED
                | CONNECTED
                | ENDED
                | HANDLED
                | TRANSFERRED
                | MESSAGES_CUSTOMER
                | MESSAGES_AGENT
                | MESSAGES_SYSTEM
        )
    }

    /// The series whose sum this part is.
    pub fn sum_of(self) -> Option<Series> {
        SERIES.into_iter().find(|series| series.sum() == self)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        bare(self.json())
    }

    /// Its name as the key of a JSON object, with the colon.
    pub fn json(self) -> &'static str {
        names().get(self.0 as usize).map_or_else(|| cost_name(self), |name| name.as_str())
    }

    /// The part of a name.
    pub fn of(name: &str) -> Option<Part> {
        static BY_NAME: OnceLock<FxHashMap<&'static str, Part>> = OnceLock::new();
        let by_name = BY_NAME.get_or_init(|| {
            let named = names().iter().map(|name| bare(name)).enumerate().filter(|(_, name)| !name.is_empty());
            named.map(|(number, name)| (name, Part(number as u32))).collect()
        });
        by_name.get(name).copied().or_else(|| cost(name.strip_prefix("cost_")?.strip_suffix("_e6")?))
    }
}

fn quoted(name: &str) -> String {
    format!("\"{name}\":")
}

fn bare(quoted: &str) -> &str {
    &quoted[1..quoted.len() - 2]
}

/// The names of all parts but costs, each as the key of a JSON object.
fn names() -> &'static [String] {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let mut names: Vec<String> = PLAIN_NAMES.iter().map(|name| (*name).to_owned()).collect();
        names.extend((0..LEVELS).map(|n| Level(n as u16).name()));
        for n in 0..LEVELS {
            let level = Level(n as u16).name();
            names.push(format!("{level}_step"));
            names.push(format!("{level}_ms"));
        }
        for series in SERIES_NAMES {
            names.extend((0..BUCKET_ROOM).map(|n| format!("{series}~{n}")));
        }
        for series in SERIES_NAMES {
            names.extend(HISTOGRAM_LIMITS_MS.iter().map(|limit| format!("{series}_hist~{limit}")));
            names.push(format!("{series}_hist~inf"));
            names.push(format!("{series}_hist_ms"));
            names.extend((HISTOGRAM_MS + 1..HISTOGRAM_ROOM).map(|_| String::new()));
        }
        names.iter().map(|name| quoted(name)).collect()
    })
}

fn cost_name(part: Part) -> &'static str {
    static COST_NAMES: OnceLock<Vec<String>> = OnceLock::new();
    let letter = |n: u32| char::from(b'A' + (n % 26) as u8);
    let all = COST_NAMES.get_or_init(|| {
        (0..COSTS).map(|n| quoted(&format!("cost_{}{}{}_e6", letter(n / 676), letter(n / 26), letter(n)))).collect()
    });
    &all[(part.0 - COST_BASE) as usize]
}

/// Values beyond 400 days share the last bucket.
const MAX_VALUE_MS: i64 = 400 * 86_400_000;

/// The highest value of each bucket; `schemas/sketch.py` has the theory.
fn highest() -> &'static [i64] {
    static HIGHEST: OnceLock<Vec<i64>> = OnceLock::new();
    HIGHEST.get_or_init(|| {
        let mut highest = vec![0];
        let mut low = 1;
        while low <= MAX_VALUE_MS {
            let answer = 101 * low / 100;
            let high = 100 * answer / 99;
            highest.push(high);
            low = high + 1;
        }
        highest
    })
}

/// The sketch bucket of a value in ms, 0 or more.
pub fn bucket_number(value_ms: i64) -> u32 {
    let limits = highest();
    limits.partition_point(|limit| *limit < value_ms).min(limits.len() - 1) as u32
}
