//! What a course stands for: where its session waits and is active, what decides about its messages, what others must know.

use smallvec::SmallVec;

use crate::course::Course;
use crate::facts::Shown;
use crate::names::{empty, Address, Addresses, Ms, Name};
use crate::talk::Setting;
use crate::told::{Contact, Target, Told};

impl Course {
    /// What the gauges are to show of it.
    pub fn shows(&self, addresses: &mut Addresses) -> Shown {
        Shown { waiting: self.waiting(), active: self.active(addresses) }
    }

    /// The stays still going on, the earliest of each address: `waiting` counts sessions.
    fn waiting(&self) -> Vec<(Address, Ms)> {
        let mut waiting: Vec<(Address, Ms)> = Vec::new();
        if self.ended.is_some() {
            return waiting;
        }
        for (address, at) in &self.open {
            if self.last_connect < *at && !waiting.iter().any(|known| known.0 == *address) {
                waiting.push((address.clone(), *at));
            }
        }
        waiting
    }

    /// The address of a session that is connected and not ended.
    fn active(&self, addresses: &mut Addresses) -> Option<Address> {
        if self.connected.is_none() || self.ended.is_some() {
            return None;
        }
        Some(self.entries.last().map_or_else(|| self.fallback(addresses), |entry| entry.1.clone()))
    }

    /// What decides about the messages.
    pub fn setting(&self, addresses: &mut Addresses) -> Setting {
        Setting {
            started: self.started.as_ref().map(|start| start.at),
            connected: self.connected,
            entries: self.entries.clone(),
            fallback: self.fallback(addresses),
        }
    }

    /// Of whom there is something new to be told since the last call, in order.
    pub fn take_unsaid(&mut self) -> SmallVec<[(Target, Name); 2]> {
        let mut unsaid = std::mem::take(&mut self.unsaid);
        if let Some(hands) = &mut self.hands {
            unsaid.extend(hands.changed.drain(..).map(|agent| (Target::Agent, agent)));
        }
        if unsaid.len() > 1 {
            unsaid.sort_unstable();
            unsaid.dedup();
        }
        unsaid
    }

    /// Everybody of whom there is something to be told; some of them more than once.
    pub fn targets(&self) -> Vec<(Target, Name)> {
        let agents = self.hands.iter().flat_map(|hands| hands.agents()).map(|agent| (Target::Agent, agent.clone()));
        let customer = self.started.iter().filter_map(|start| start.customer.clone()).map(|name| (Target::Customer, name));
        let reviewers = self.reviews.iter().map(|review| (Target::Reviewer, review.0.clone()));
        agents.chain(customer).chain(reviewers).collect()
    }

    /// What a target must know; `give_up_at`: a forgotten session's time in hand ends there.
    pub fn told(&self, target: &(Target, Name), give_up_at: Option<Ms>, addresses: &mut Addresses) -> Told {
        let (kind, name) = target;
        match kind {
            Target::Agent => self.hands.as_ref().map(|hands| hands.told(name, give_up_at)).unwrap_or_default(),
            Target::Customer => Told { contacts: self.contact(addresses).into_iter().collect(), ..Told::default() },
            Target::Reviewer => {
                let own = self.reviews.iter().filter(|review| review.0 == *name);
                let reviews = own.map(|(_, at, address)| (*at, address.name().clone(), address.channel().clone()));
                Told { reviews: reviews.collect(), ..Told::default() }
            }
        }
    }

    /// What the customer's partition must know (29).
    fn contact(&self, addresses: &mut Addresses) -> Option<Contact> {
        let start = self.started.as_ref()?.at;
        let place = self.place(start, addresses);
        let (end_queue, end_channel) = match self.ended {
            Some(end) => {
                let place = self.place(end, addresses);
                (place.name().clone(), place.channel().clone())
            }
            None => (empty(), empty()),
        };
        let (queue, channel) = (place.name().clone(), place.channel().clone());
        Some(Contact { start, queue, channel, end: self.ended, end_queue, end_channel })
    }
}
