//! A partition's clock: newest event times, watermark, the present; `streams/core/clock.py` has the theory.

use crate::facts::{Topic, TOPICS};
use crate::names::Ms;
use crate::pack::{Malformed, Reader, Writer};
use crate::rules::Rules;

/// Times in ms; `watermark` is None until it can be known, and never goes back.
#[derive(Default)]
pub struct Clock {
    pub newest: [Option<Ms>; 4],
    ended: [Option<Ms>; 4],
    heard: [Option<Ms>; 4],
    pub watermark: Option<Ms>,
}

impl Clock {
    /// Take note of a batch of a topic: its newest event time (-1: none), and when it came.
    pub fn saw(&mut self, topic: Topic, newest: Ms, now_ms: Ms) {
        let known = &mut self.newest[topic as usize];
        if newest > known.unwrap_or(-1) {
            *known = Some(newest);
        }
        self.heard[topic as usize] = Some(now_ms);
    }

    /// Take note of an end-of-input marker.
    pub fn end(&mut self, topic: Topic, at: Ms) {
        let known = &mut self.ended[topic as usize];
        *known = Some(known.map_or(at, |ended| ended.max(at)));
    }

    /// Move the watermark on; `at_end`: topics that have been read to the end of their log.
    pub fn advance(&mut self, now_ms: Ms, at_end: &[Topic], rules: &Rules) {
        let mark = if rules.live { self.live(now_ms, at_end, rules) } else { self.replay(at_end, rules) };
        if mark > self.watermark {
            self.watermark = mark;
        }
    }

    fn live(&mut self, now_ms: Ms, at_end: &[Topic], rules: &Rules) -> Option<Ms> {
        for heard in &mut self.heard {
            heard.get_or_insert(now_ms);
        }
        let mut least = Ms::MAX;
        for topic in TOPICS {
            let heard = self.heard[topic as usize].unwrap_or(now_ms);
            let mark = if at_end.contains(&topic) && now_ms - heard >= rules.idle_ms {
                now_ms - rules.idle_ms
            } else {
                self.newest[topic as usize]?.min(now_ms)
            };
            least = least.min(mark);
        }
        Some(least - rules.lateness_ms)
    }

    fn replay(&self, at_end: &[Topic], rules: &Rules) -> Option<Ms> {
        let mut least: Option<Ms> = None;
        for topic in TOPICS {
            let newest = self.newest[topic as usize];
            let mark = match (self.ended[topic as usize], newest) {
                (Some(ended), newest) => ended.max(newest.unwrap_or(0)),
                (None, Some(newest)) => newest - rules.lateness_ms,
                (None, None) if at_end.contains(&topic) => continue,
                (None, None) => return None,
            };
            least = Some(least.map_or(mark, |known| known.min(mark)));
        }
        least
    }

    /// What counts as now: the wall clock, or in replay the watermark (0 before there is one).
    pub fn present(&self, now_ms: Ms, live: bool) -> Ms {
        if live {
            now_ms
        } else {
            self.watermark.unwrap_or(0)
        }
    }

    /// Whether every topic's input has ended.
    pub fn all_ended(&self) -> bool {
        self.ended.iter().all(Option::is_some)
    }

    /// The newest event time of all topics, None before the first.
    pub fn newest_event(&self) -> Option<Ms> {
        self.newest.iter().copied().flatten().max()
    }

    pub fn freeze(&self, to: &mut Writer) {
        to.array(3);
        for times in [&self.newest, &self.ended] {
            to.map(times.iter().flatten().count());
            for (topic, at) in TOPICS.iter().zip(times) {
                if let Some(at) = at {
                    to.str(topic.text());
                    to.int(*at);
                }
            }
        }
        to.maybe_int(self.watermark);
    }

    pub fn thaw(&mut self, from: &mut Reader<'_>) -> Result<(), Malformed> {
        from.array()?;
        for times in [&mut self.newest, &mut self.ended] {
            for _ in 0..from.map()? {
                let topic = Topic::of(from.str()?).ok_or(Malformed("unknown topic"))?;
                times[topic as usize] = Some(from.int()?);
            }
        }
        self.watermark = from.maybe_int()?;
        Ok(())
    }
}
