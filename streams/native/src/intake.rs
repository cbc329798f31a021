//! What is checked of a record before it may count, and the words for what is refused.
//!
//! Words for people are put together by `streams/native/look.py`, as the other core does: a refused record is rare, and its words
//! show Python's way of writing bytes and text. An event that `decode` does not read is read there, too.

use std::borrow::Cow;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::decode::{Body, Event};
use crate::facts::Topic;
use crate::milestones::{Direction, Kind, Outcome};
use crate::names::{Ms, Name, Names};
use crate::parts::Part;

/// Why a record is refused: a label value, and words for people.
#[derive(Debug)]
pub struct Refusal {
    pub reason: String,
    pub detail: String,
}

/// What a closer look finds.
pub enum Looked {
    Event(Event<'static>),
    Refused(Refusal),
    EndOfInput(Ms),
}

const LOOK: &str = "streams.native.look";

/// Ask the module of Python that takes a closer look.
fn ask<T: for<'py> FromPyObject<'py>>(function: &str, arguments: impl for<'py> pyo3::call::PyCallArgs<'py>) -> T {
    Python::with_gil(|py| -> PyResult<T> { py.import(LOOK)?.call_method1(function, arguments)?.extract() })
        .expect("streams/native/look.py answers for any record")
}

/// Say why a record's key is not the one of its event.
pub fn wrong_key(key: Option<&[u8]>, field: &str, name: Option<&str>) -> Refusal {
    let detail = ask("wrong_key", (key.map(Cow::Borrowed), field, name));
    Refusal { reason: "wrong_key".to_owned(), detail }
}

/// Say why a record is in the wrong partition.
pub fn wrong_partition(key: &[u8], right: u32, here: u32) -> Refusal {
    let detail = ask("wrong_partition", (Cow::Borrowed(key), right, here));
    Refusal { reason: "wrong_partition".to_owned(), detail }
}

/// Say that a status stands for nothing.
pub fn unmapped_status(status: &str) -> Refusal {
    Refusal { reason: "status".to_owned(), detail: ask("unmapped_status", (status,)) }
}

/// Say that an event is from the future.
pub fn from_the_future(ahead_ms: Ms) -> Refusal {
    let ahead_s = ahead_ms as f64 / 1000.0;
    Refusal { reason: "from_the_future".to_owned(), detail: format!("at is {ahead_s:.0} s ahead of the clock") }
}

/// Say that an event belongs on another topic.
pub fn wrong_topic(right: Topic, topic: Topic) -> Refusal {
    let (right, topic) = (right.text(), topic.text());
    Refusal { reason: "wrong_topic".to_owned(), detail: format!("this type belongs on topic {right}, it came on {topic}") }
}

/// Say that a session has as many events as it may have.
pub fn session_full(most: usize) -> Refusal {
    Refusal { reason: "session_full".to_owned(), detail: format!("session has {most} events already (limits.milestones)") }
}

/// Take a closer look at a record's value.
pub fn look(value: Option<&[u8]>) -> Looked {
    Python::with_gil(|py| -> PyResult<Looked> {
        let found = py.import(LOOK)?.call_method1("look", (PyBytes::new(py, value.unwrap_or_default()),))?;
        let (tag, id, at): (String, String, Option<Ms>) =
            (found.get_item(0)?.extract()?, found.get_item(1)?.extract()?, found.get_item(2)?.extract()?);
        match (tag.as_str(), at) {
            ("", Some(end)) => Ok(Looked::EndOfInput(end)),
            ("", None) => Ok(Looked::Refused(Refusal { reason: id, detail: found.get_item(3)?.extract()? })),
            (tag, at) => {
                let key: Option<String> = found.get_item(3)?.extract()?;
                let body = body_of(tag, &found.get_item(4)?)?;
                Ok(Looked::Event(Event { id: Cow::Owned(id), at: at.unwrap_or(0), key: key.map(Cow::Owned), body }))
            }
        }
    })
    .expect("streams/native/look.py answers for any record")
}

fn body_of(tag: &str, fields: &Bound<'_, PyAny>) -> PyResult<Body<'static>> {
    let text = |n: usize| -> PyResult<Cow<'static, str>> { Ok(Cow::Owned(fields.get_item(n)?.extract::<String>()?)) };
    let maybe =
        |n: usize| -> PyResult<Option<Cow<'static, str>>> { Ok(fields.get_item(n)?.extract::<Option<String>>()?.map(Cow::Owned)) };
    let list = |n: usize| -> PyResult<Option<Vec<Cow<'static, str>>>> {
        let list: Option<Vec<String>> = fields.get_item(n)?.extract()?;
        Ok(list.map(|names| names.into_iter().map(Cow::Owned).collect()))
    };
    let flag = |n: usize| -> PyResult<bool> { fields.get_item(n)?.extract() };
    let number = |n: usize| -> PyResult<i64> { fields.get_item(n)?.extract() };
    let part = |n: usize| -> PyResult<Part> {
        let name: String = fields.get_item(n)?.extract()?;
        Ok(Part::of(&name).expect("the models let only known parts through"))
    };
    Ok(match tag {
        "session.started" => Body::Started {
            channel: text(0)?,
            direction: Direction::of(&text(1)?).expect("the models know the directions"),
            queue: maybe(2)?,
            customer: maybe(3)?,
        },
        "session.connected" => Body::Connected { agent: text(0)?, queue: maybe(1)? },
        "session.message" => Body::Message { sender: fields.get_item(0)?.extract()? },
        "session.held" => Body::Held,
        "session.resumed" => Body::Resumed,
        "session.transferred" => Body::Transferred { from: text(0)?, warm: flag(1)? },
        "session.ended" => Body::Ended { resolved: flag(0)? },
        "session.wrapped_up" => Body::WrappedUp { agent: text(0)? },
        "session.survey_sent" => Body::SurveySent,
        "session.rated" => Body::Rated { score_e6: number(0)?, grade: part(1)? },
        "session.reviewed" => Body::Reviewed { live: flag(0)?, passed: flag(1)?, reviewer: text(2)? },
        "queue.entered" => Body::Entered { queue: text(0)?, channel: maybe(1)? },
        "queue.offered" => Body::Offered { queue: text(0)?, agent: text(1)? },
        "queue.missed" => Body::Missed { queue: text(0)? },
        "queue.left" => Body::Left { queue: text(0)?, outcome: Outcome::of(&text(1)?).expect("the models know the outcomes") },
        "agent.status" => {
            Body::Status { status: text(0)?, groups: list(1)?, queues: list(2)?, capacity: fields.get_item(3)?.extract()? }
        }
        "agent.joined" => Body::AgentJoined { groups: list(0)? },
        "agent.left" => Body::AgentLeft { groups: list(0)? },
        "site.visits" => Body::Visits { channel: maybe(0)?, count: number(1)? },
        "cost.booked" => Body::Cost { amount_e6: number(0)?, part: part(1)? },
        "complaint.opened" | "complaint.closed" => {
            Body::Complaint { opened: tag == "complaint.opened", complaint: text(0)?, queue: maybe(1)? }
        }
        _ => unreachable!("an event of a type that the models do not know"),
    })
}

impl Body<'_> {
    /// The topic on which such events travel.
    pub fn topic(&self) -> Topic {
        match self {
            Body::Entered { .. } | Body::Offered { .. } | Body::Missed { .. } | Body::Left { .. } => Topic::Queues,
            Body::Status { .. } | Body::AgentJoined { .. } | Body::AgentLeft { .. } => Topic::Status,
            Body::Visits { .. } | Body::Cost { .. } | Body::Complaint { .. } => Topic::Business,
            _ => Topic::Sessions,
        }
    }

    /// The field that the record's key has to be.
    pub fn key_field(&self) -> &'static str {
        match self {
            Body::Complaint { .. } => "complaint_id",
            Body::Visits { .. } | Body::Cost { .. } => "queue",
            Body::Status { .. } | Body::AgentJoined { .. } | Body::AgentLeft { .. } => "agent_id",
            _ => "session_id",
        }
    }

    /// What a milestone of it says; None for a message, and for what is no session's.
    pub fn kind(&self, names: &mut Names) -> Option<Kind> {
        let maybe = |names: &mut Names, text: &Option<Cow<'_, str>>| text.as_deref().map(|text| names.of(text));
        Some(match self {
            Body::Started { channel, direction, queue, customer } => Kind::Started {
                channel: names.of(channel),
                direction: *direction,
                queue: maybe(names, queue),
                customer: customer.as_deref().map(Name::from),
            },
            Body::Entered { queue, channel } => Kind::Entered { queue: names.of(queue), channel: maybe(names, channel) },
            Body::Offered { queue, agent } => Kind::Offered { queue: names.of(queue), agent: names.of(agent) },
            Body::Missed { queue } => Kind::Missed { queue: names.of(queue) },
            Body::Left { queue, outcome } => Kind::Left { queue: names.of(queue), outcome: *outcome },
            Body::Connected { agent, queue } => Kind::Connected { agent: names.of(agent), queue: maybe(names, queue) },
            Body::Held => Kind::Held,
            Body::Resumed => Kind::Resumed,
            Body::Transferred { from, warm } => Kind::Transferred { from: names.of(from), warm: *warm },
            Body::Ended { resolved } => Kind::Ended { resolved: *resolved },
            Body::WrappedUp { agent } => Kind::WrappedUp { agent: names.of(agent) },
            Body::SurveySent => Kind::SurveySent,
            Body::Rated { score_e6, grade } => Kind::Rated { score_e6: *score_e6, grade: *grade },
            Body::Reviewed { live, passed, reviewer } => {
                Kind::Reviewed { live: *live, passed: *passed, reviewer: names.of(reviewer) }
            }
            _ => return None,
        })
    }
}
