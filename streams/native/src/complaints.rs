//! Complaints: numbered, opened and closed once; `streams/core/complaints.py` has the theory.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::books::Books;
use crate::facts::{Fact, Topic};
use crate::kept::{allocated, of_name, of_table};
use crate::names::{unassigned, Address, Addresses, Ms, Name};
use crate::pack::{Malformed, Reader, Writer};
use crate::parts;
use crate::rules::Rules;

/// How far the watermark moves between two times at which complaints that are over are looked for.
const LOOK_MS: Ms = 3_600_000;

/// (at, event id, queue).
pub type Filing = (Ms, Box<str>, Option<Name>);

/// The first open and the first close.
#[derive(Clone, Default)]
struct Filings {
    opened: Option<Filing>,
    closed: Option<Filing>,
}

/// What a complaint stands for: its facts, its clock errors, and where it counts as open.
struct Stands {
    facts: Vec<Fact>,
    errors: Vec<Topic>,
    open: Option<Address>,
}

impl Filings {
    fn stands(&self, addresses: &mut Addresses) -> Stands {
        let filings = [&self.opened, &self.closed];
        let queue = filings.into_iter().flatten().find_map(|filing| filing.2.clone()).unwrap_or_else(unassigned);
        let address = addresses.queue(&queue, &unassigned());
        let (mut facts, mut errors) = (Vec::new(), Vec::new());
        if let Some((at, _, _)) = self.opened {
            facts.push(Fact::one(&address, at, parts::COMPLAINTS_OPENED));
        }
        if let Some((at, _, _)) = self.closed {
            facts.push(Fact::one(&address, at, parts::COMPLAINTS_CLOSED));
        }
        if let (Some((opened, _, _)), Some((closed, _, _))) = (&self.opened, &self.closed) {
            if closed < opened {
                errors.push(Topic::Business);
            }
            facts.push(Fact::one(&address, *closed, parts::COMPLAINT_N));
            facts.push(Fact::add(&address, *closed, parts::COMPLAINT_MS, (closed - opened).max(0)));
        }
        let open = (self.opened.is_some() && self.closed.is_none()).then_some(address);
        Stands { facts, errors, open }
    }

    fn over_after(&self, rules: &Rules) -> Ms {
        let opened = self.opened.as_ref().map_or(0, |filing| filing.0);
        match &self.closed {
            Some(closed) => closed.0.max(opened) + rules.business_horizon_ms,
            None => opened + rules.silence_ms,
        }
    }
}

/// The complaints of one partition.
pub struct Complaints {
    filings: FxHashMap<Name, Filings>,
    before: Vec<(Name, Filings)>,
    touched: FxHashSet<Name>,
    /// Up to which watermark was looked for complaints that are over.
    pub looked_at: Ms,
}

impl Complaints {
    /// Start with none.
    pub fn new() -> Complaints {
        Complaints { filings: FxHashMap::default(), before: Vec::new(), touched: FxHashSet::default(), looked_at: 0 }
    }

    /// Take in an open or a close.
    pub fn file(&mut self, complaint_id: &Name, opened: bool, filing: Filing) {
        let filings = self.filings.entry(complaint_id.clone()).or_default();
        let known = if opened { &mut filings.opened } else { &mut filings.closed };
        if known.as_ref().is_some_and(|known| (known.0, &known.1) <= (filing.0, &filing.1)) {
            return;
        }
        let was = known.replace(filing);
        if self.touched.insert(complaint_id.clone()) {
            let mut before = filings.clone();
            *(if opened { &mut before.opened } else { &mut before.closed }) = was;
            self.before.push((complaint_id.clone(), before));
        }
    }

    /// Book what changed; return the ids.
    pub fn book(&mut self, books: &mut Books, addresses: &mut Addresses) -> Vec<Name> {
        self.touched.clear();
        let mut ids = Vec::with_capacity(self.before.len());
        for (complaint_id, old) in std::mem::take(&mut self.before) {
            if let Some(filings) = self.filings.get(&complaint_id) {
                let (old, new) = (old.stands(addresses), filings.stands(addresses));
                books.difference(&old.facts, &new.facts);
                books.clock_errors(&old.errors, &new.errors);
                books.complaint(old.open.as_ref(), new.open.as_ref());
            }
            ids.push(complaint_id);
        }
        ids
    }

    /// Forget what is over, looking once per hour of event time; return the ids.
    pub fn forget(&mut self, books: &mut Books, addresses: &mut Addresses, watermark: Option<Ms>, rules: &Rules) -> Vec<Name> {
        let mark = match watermark {
            Some(mark) if mark >= self.looked_at + LOOK_MS => mark,
            _ => return Vec::new(),
        };
        self.looked_at = mark;
        let over = self.filings.iter().filter(|(_, filings)| filings.over_after(rules) < mark);
        let gone: Vec<Name> = over.map(|(complaint_id, _)| complaint_id.clone()).collect();
        for complaint_id in &gone {
            let was_open = self.filings.remove(complaint_id).and_then(|filings| filings.stands(addresses).open);
            if let Some(address) = was_open {
                books.count("complaints_expired", 1);
                books.complaint(Some(&address), None);
            }
        }
        gone
    }

    /// The ids of all complaints.
    pub fn known(&self) -> Vec<Name> {
        self.filings.keys().cloned().collect()
    }

    /// Bytes of all that is known.
    pub fn bytes(&self) -> usize {
        let of_one = |filing: &Filing| allocated(filing.1.len()) + filing.2.as_ref().map_or(0, of_name);
        let of_both = |both: &Filings| [&both.opened, &both.closed].into_iter().flatten().map(of_one).sum::<usize>();
        of_table(&self.filings) + self.filings.iter().map(|(id, both)| of_name(id) + of_both(both)).sum::<usize>()
    }

    /// Write a complaint's entry; None if it is gone.
    pub fn freeze(&self, complaint_id: &str, to: &mut Writer) -> Option<()> {
        let filings = self.filings.get(complaint_id)?;
        to.array(2);
        for filing in [&filings.opened, &filings.closed] {
            match filing {
                Some((at, id, queue)) => {
                    to.array(3);
                    to.int(*at);
                    to.str(id);
                    to.maybe_str(queue.as_deref());
                }
                None => to.nil(),
            }
        }
        Some(())
    }

    /// Restore what `freeze` returned, and the gauge with it.
    pub fn thaw(
        &mut self,
        complaint_id: &str,
        value: &[u8],
        books: &mut Books,
        addresses: &mut Addresses,
    ) -> Result<(), Malformed> {
        let from = &mut Reader::new(value);
        from.array()?;
        let filings = Filings { opened: thaw_filing(from)?, closed: thaw_filing(from)? };
        books.complaint(None, filings.stands(addresses).open.as_ref());
        self.filings.insert(Name::from(complaint_id), filings);
        Ok(())
    }
}

fn thaw_filing(from: &mut Reader<'_>) -> Result<Option<Filing>, Malformed> {
    if from.nil() {
        return Ok(None);
    }
    from.array()?;
    Ok(Some((from.int()?, from.str()?.into(), from.maybe_str()?.map(Name::from))))
}
