//! Local dates of time zones: asked of `schemas/zones.py` once per zone and quarter-hour, and remembered.

use std::sync::Mutex;

use pyo3::prelude::*;
use rustc_hash::FxHashMap;

use crate::names::Ms;

/// A time zone, by its place in the table of those met.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Zone(u16);

const QUARTER_MS: Ms = 900_000;
/// Answers remembered of one kind; beyond it all are forgotten and asked again.
const REMEMBERED: usize = 20_000;

struct Table {
    names: Vec<String>,
    answers: [FxHashMap<(Zone, i64), i64>; 2],
}

static TABLE: Mutex<Option<Table>> = Mutex::new(None);
const QUESTIONS: [&str; 2] = ["date_number", "date_start"];

fn with_table<T>(work: impl FnOnce(&mut Table) -> T) -> T {
    let mut table = TABLE.lock().expect("nobody panics with it");
    work(table.get_or_insert_with(|| Table { names: Vec::new(), answers: Default::default() }))
}

/// The zone of a name that exists.
pub fn zone_of(name: &str) -> Zone {
    with_table(|table| {
        let number = table.names.iter().position(|known| known == name).unwrap_or_else(|| {
            table.names.push(name.to_owned());
            table.names.len() - 1
        });
        Zone(u16::try_from(number).expect("fewer zones than there are in the world"))
    })
}

fn ask(question: usize, zone: Zone, key: i64, argument: i64) -> i64 {
    let known = with_table(|table| match table.answers[question].get(&(zone, key)) {
        Some(answer) => Ok(*answer),
        None => Err(table.names[usize::from(zone.0)].clone()),
    });
    let name = match known {
        Ok(answer) => return answer,
        Err(name) => name,
    };
    let answer = Python::with_gil(|py| -> PyResult<i64> {
        py.import("schemas.zones")?.call_method1(QUESTIONS[question], (name, argument))?.extract()
    })
    .expect("the zone exists, and the instant lies between 1990 and 9999");
    with_table(|table| {
        let answers = &mut table.answers[question];
        if answers.len() >= REMEMBERED {
            answers.clear();
        }
        answers.insert((zone, key), answer);
    });
    answer
}

/// The local date of an instant as days since 1970-01-01.
pub fn date_number(zone: Zone, at: Ms) -> i64 {
    ask(0, zone, at.div_euclid(QUARTER_MS), at)
}

/// The first instant of a local date.
pub fn date_start(zone: Zone, number: i64) -> Ms {
    ask(1, zone, number, number)
}
