//! What each milestone of a course is worth: the facts that follow from it.

use crate::course::{Course, Done, Left, Offer, Retroactive, Start, Taken};
use crate::facts::Topic;
use crate::hands::Hands;
use crate::milestones::{at_and_sender, Direction, Outcome, AGENT, CUSTOMER};
use crate::names::{Address, Ms, Name};
use crate::parts::{self, Part, Series};
use crate::rules::Version;
use crate::talk::Heed;
use crate::told::Target;

impl Course {
    pub(super) fn starts(&mut self, at: Ms, heed: &mut Heed<'_>) -> Done {
        if self.start_ahead {
            self.start_ahead = false;
            let address = self.place(at, heed.addresses);
            heed.one(&address, at, parts::STARTED);
            self.tell_customer();
            return Ok(());
        }
        self.started.as_ref().map(|_| ()).ok_or(Retroactive)
    }

    /// Book an entry, and the leaving that had waited for it: the k-th entry of a queue with its k-th leaving (11).
    pub(super) fn enters(&mut self, at: Ms, queue: &Name, channel: Option<&Name>, heed: &mut Heed<'_>) -> Done {
        if self.entered == self.entries.len() {
            let late = at <= self.last;
            if !self.fixed || self.orphans.contains(queue) {
                return Err(Retroactive);
            }
            if late && self.decides(queue, channel, heed.addresses) != self.place(at, heed.addresses) {
                return Err(Retroactive);
            }
            self.know(at, queue, channel, heed.addresses);
            if !late {
                self.look_anew(at);
            }
        }
        let address = self.entries[self.entered].1.clone();
        self.entered += 1;
        heed.one(&address, at, parts::OFFERED);
        match self.lefts.iter().position(|left| left.queue == *queue) {
            Some(n) => {
                let left = self.lefts.remove(n);
                stayed(&address, at, left.at, left.outcome, heed);
            }
            None => self.open.push((address, at)),
        }
        Ok(())
    }

    pub(super) fn leaves(&mut self, at: Ms, queue: &Name, outcome: Outcome, heed: &mut Heed<'_>) {
        match self.open.iter().position(|(address, _)| address.name() == queue) {
            Some(n) => {
                let (address, entered) = self.open.remove(n);
                stayed(&address, entered, at, outcome, heed);
            }
            None => self.lefts.push(Left { queue: queue.clone(), at, outcome }),
        }
    }

    /// Book an offer to an agent, in the queue that it names.
    pub(super) fn offered(&mut self, at: Ms, queue: &Name, agent: &Name, heed: &mut Heed<'_>) -> Done {
        let address = self.offer_address(at, queue, heed.addresses);
        heed.one(&address, at, parts::OFFERS);
        match &mut self.taken {
            Some(taken) if at <= self.last_connect && at <= taken.at => {
                if at <= taken.before || (taken.rung && taken.agent == *agent) {
                    return Err(Retroactive);
                }
                if taken.agent == *agent {
                    taken.rung = true;
                    rang(&address, taken.at, at, heed);
                }
            }
            _ => self.offers.push(Offer { at, queue: queue.clone(), agent: agent.clone() }),
        }
        Ok(())
    }

    /// Book the first connected (25, 15), and let the agent take the session if he does not hold it (31).
    pub(super) fn connects(&mut self, at: Ms, agent: &Name, names_queue: bool, heed: &mut Heed<'_>) -> Done {
        if !self.starting && (self.ended.is_some() || (names_queue && self.fallback.is_none())) {
            return Err(Retroactive);
        }
        if self.last_connect < 0 {
            let address = self.place(at, heed.addresses);
            heed.one(&address, at, parts::CONNECTED);
            heed.one(&address, at, connected_of(self.direction));
            if self.connected.is_none() {
                self.connected = Some(at);
                self.look_anew(at);
            }
        }
        self.last_connect = at;
        let hands = self.hands.get_or_insert_with(Hands::default);
        if self.ended.is_some() {
            hands.take_nothing(agent, at);
        } else if !hands.holds(agent) {
            hands.take(agent, at, self.connected);
        } else {
            return Ok(());
        }
        self.takes(at, agent, heed);
        Ok(())
    }

    /// Note a connected that was no repetition, and book the time it rang before (16).
    fn takes(&mut self, at: Ms, agent: &Name, heed: &mut Heed<'_>) {
        let before = self.taken.as_ref().map_or(-1, |taken| taken.at);
        let rung = self.offers.iter().rev().find(|offer| offer.at <= at && offer.agent == *agent);
        let rung = rung.map(|offer| (offer.at, offer.queue.clone()));
        if let Some((since, queue)) = &rung {
            let address = self.offer_address(*since, queue, heed.addresses);
            rang(&address, at, *since, heed);
        }
        self.offers.retain(|offer| offer.at > at);
        self.taken = Some(Taken { agent: agent.clone(), at, before, rung: rung.is_some() });
    }

    pub(super) fn missed(&mut self, at: Ms, queue: &Name, heed: &mut Heed<'_>) {
        let address = self.offer_address(at, queue, heed.addresses);
        heed.one(&address, at, parts::OFFERS_MISSED);
    }

    pub(super) fn transfers(&mut self, at: Ms, from: &Name, warm: bool, heed: &mut Heed<'_>) {
        let address = self.place_before(at, heed.addresses);
        heed.one(&address, at, parts::TRANSFERRED);
        heed.one(&address, at, if warm { parts::TRANSFERRED_WARM } else { parts::TRANSFERRED_BLIND });
        if let Some(hands) = &mut self.hands {
            hands.transferred(from, at, self.connected);
        }
    }

    /// Book what becomes a fact at the end (22), all of it in the end's slice and queue.
    pub(super) fn ends(&mut self, at: Ms, resolved: bool, messages: &[u64], heed: &mut Heed<'_>) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(at);
        self.tell_customer();
        let address = self.place(at, heed.addresses);
        heed.one(&address, at, parts::ENDED);
        let version = heed.rules.at(at);
        let invalid = self.is_invalid(messages, address.channel(), version);
        let (ended_so, invalid_so, unconnected_so) = ended_of(self.direction);
        if let Some(part) = ended_so {
            heed.one(&address, at, part);
        }
        if resolved {
            heed.one(&address, at, parts::RESOLVED);
        }
        if invalid {
            heed.one(&address, at, parts::INVALID);
            if let Some(part) = invalid_so {
                heed.one(&address, at, part);
            }
        }
        let Some(connected) = self.connected else {
            heed.one(&address, at, parts::UNCONNECTED);
            heed.one(&address, at, unconnected_so);
            return;
        };
        if at < connected {
            heed.errors.push(Topic::Sessions);
        }
        let lasted = (at - connected).max(0);
        heed.one(&address, at, parts::HANDLED);
        heed.add(&address, at, parts::SESSION_MS, lasted);
        let mut held_ms = 0;
        if let Some(hands) = &mut self.hands {
            hands.ended(at, self.connected, version.wrap_up_ms_by_channel.get(address.channel()).copied());
            held_ms = hands.hold_ms;
            if held_ms != 0 {
                heed.add(&address, at, parts::HOLD_MS, held_ms);
            }
            if hands.wrap_up_ms != 0 {
                heed.add(&address, at, parts::WRAP_UP_MS, hands.wrap_up_ms);
            }
        }
        heed.add(&address, at, parts::TALK_MS, lasted - held_ms);
    }

    /// Whether an ended session was none (26): speech never connected, text without both sides.
    fn is_invalid(&self, messages: &[u64], channel: &str, version: &Version) -> bool {
        if version.is_speech(channel) {
            return self.connected.is_none();
        }
        let has = |class: u8| messages.iter().any(|message| at_and_sender(*message).1 == class);
        !has(CUSTOMER) || !has(AGENT)
    }

    /// Note a wrap-up; one that becomes known after the end corrects the end's slice (22).
    pub(super) fn wraps_up(&mut self, at: Ms, agent: &Name, heed: &mut Heed<'_>) {
        let Some(hands) = &mut self.hands else { return };
        let took_ms = hands.wrapped_up(agent, at);
        if let (Some(ended), true) = (self.ended, took_ms != 0) {
            let address = self.place(ended, heed.addresses);
            heed.add(&address, ended, parts::WRAP_UP_MS, took_ms);
        }
    }

    pub(super) fn asks(&mut self, at: Ms, heed: &mut Heed<'_>) {
        if !self.surveyed {
            self.surveyed = true;
            let address = self.place(at, heed.addresses);
            heed.one(&address, at, parts::SURVEYS_SENT);
        }
    }

    /// Book a rating; the last one counts (3).
    pub(super) fn rates(&mut self, at: Ms, score_e6: i64, grade: Part, heed: &mut Heed<'_>) -> Done {
        if self.ratings_ahead > 0 {
            self.ratings_ahead -= 1;
            if self.ratings_ahead > 0 {
                return Ok(());
            }
        } else if self.rated {
            return Err(Retroactive);
        }
        self.rated = true;
        let address = self.place(at, heed.addresses);
        heed.one(&address, at, parts::RATED);
        heed.one(&address, at, grade);
        heed.add(&address, at, parts::RATED_SCORE_E6, score_e6);
        Ok(())
    }

    pub(super) fn reviewed(&mut self, at: Ms, live: bool, passed: bool, reviewer: &Name, heed: &mut Heed<'_>) {
        let address = self.place(at, heed.addresses);
        heed.one(&address, at, parts::REVIEWS);
        if live {
            heed.one(&address, at, parts::REVIEWS_LIVE);
        }
        if passed {
            heed.one(&address, at, parts::REVIEWS_PASSED);
        }
        self.reviews.push((reviewer.clone(), at, address));
        self.unsaid.push((Target::Reviewer, reviewer.clone()));
    }

    fn tell_customer(&mut self) {
        if let Some(Start { customer: Some(customer), .. }) = &self.started {
            self.unsaid.push((Target::Customer, customer.clone()));
        }
    }
}

fn rang(address: &Address, at: Ms, since: Ms, heed: &mut Heed<'_>) {
    heed.one(address, at, parts::RING_TIME_N);
    heed.add(address, at, parts::RING_TIME_MS, at - since);
}

/// Book a stay that is over.
fn stayed(address: &Address, entered: Ms, at: Ms, outcome: Outcome, heed: &mut Heed<'_>) {
    if at < entered {
        heed.errors.push(Topic::Queues);
    }
    let wait = (at - entered).max(0);
    let rule = heed.rules.at(at).queue(address);
    heed.timed(address, at, Series::QueueTime, wait);
    if wait > rule.placement_ms {
        heed.one(address, at, parts::LEFT_LATE);
    }
    heed.one(address, at, outcome_of(outcome));
    if outcome == Outcome::Answered {
        heed.add(address, at, parts::WAIT_ANSWERED_MS, wait);
        if wait <= rule.answer_ms {
            heed.one(address, at, parts::ANSWERED_WITHIN);
        }
    } else if outcome == Outcome::Abandoned {
        heed.add(address, at, parts::WAIT_ABANDONED_MS, wait);
        if wait <= rule.answer_ms {
            heed.one(address, at, parts::ABANDONED_WITHIN);
        }
        if wait < rule.short_ms {
            heed.one(address, at, parts::SHORT_ABANDONED);
        }
    }
}

fn outcome_of(outcome: Outcome) -> Part {
    match outcome {
        Outcome::Answered => parts::ANSWERED,
        Outcome::Abandoned => parts::ABANDONED,
        Outcome::Overflowed => parts::OVERFLOWED,
        Outcome::TimedOut => parts::TIMED_OUT,
        Outcome::Transferred => parts::LEFT_TRANSFERRED,
        Outcome::Callback => parts::CALLBACK,
        Outcome::Voicemail => parts::VOICEMAIL,
        Outcome::Closed => parts::CLOSED,
    }
}

fn connected_of(direction: Direction) -> Part {
    match direction {
        Direction::Inbound => parts::CONNECTED_INBOUND,
        Direction::Outbound => parts::CONNECTED_OUTBOUND,
        Direction::Callback => parts::CONNECTED_CALLBACK,
    }
}

/// What an end counts beside `ended`, `invalid` and `unconnected`.
fn ended_of(direction: Direction) -> (Option<Part>, Option<Part>, Part) {
    match direction {
        Direction::Inbound => (Some(parts::ENDED_INBOUND), Some(parts::INVALID_INBOUND), parts::UNCONNECTED_INBOUND),
        Direction::Outbound => (Some(parts::ENDED_OUTBOUND), Some(parts::INVALID_OUTBOUND), parts::UNCONNECTED_OUTBOUND),
        Direction::Callback => (None, None, parts::UNCONNECTED_CALLBACK),
    }
}
