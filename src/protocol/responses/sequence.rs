//! One block at a time, where a provider may send several at once.
//!
//! The block that began first is handed on as it grows; what belongs to later ones waits until it has ended.

use std::collections::{HashSet, VecDeque};

use super::item::Slot;
use crate::chat::{Block, Event};

/// Where in an answer a block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// The index of the item.
    pub(super) item: u64,
    /// Where in the item.
    pub(super) slot: Slot,
}

/// The blocks that have begun and are not handed on in full.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    open: VecDeque<Open>,
    ended: HashSet<Place>,
}

#[derive(Debug)]
struct Open {
    place: Place,
    /// What waits. The first block keeps nothing.
    waiting: Vec<Event>,
    has_grown: bool,
    has_ended: bool,
}

impl Sequence {
    /// Whether nothing has begun yet.
    pub(super) fn is_untouched(&self) -> bool {
        self.open.is_empty() && self.ended.is_empty()
    }

    /// Whether this block has begun.
    pub(super) fn has_begun(&self, place: Place) -> bool {
        self.ended.contains(&place) || self.open.iter().any(|open| open.place == place)
    }

    /// Whether this block has grown, or can no longer.
    pub(super) fn has_grown(&self, place: Place) -> bool {
        let mut open = self.open.iter();
        self.ended.contains(&place) || open.any(|open| open.place == place && open.has_grown)
    }

    /// Begins a block, unless it has begun.
    pub(super) fn begin(&mut self, place: Place, block: Block, out: &mut Vec<Event>) {
        if self.has_begun(place) {
            return;
        }
        let begin = Event::Begin(block);
        let mut waiting = Vec::new();
        if self.open.is_empty() {
            out.push(begin);
        } else {
            waiting.push(begin);
        }
        self.open.push_back(Open {
            place,
            waiting,
            has_grown: false,
            has_ended: false,
        });
    }

    /// Something happens within a block that has begun and not ended.
    pub(super) fn push(&mut self, place: Place, event: Event, out: &mut Vec<Event>) {
        let mut open = self.open.iter_mut().enumerate();
        let Some((at, open)) = open.find(|(_, open)| open.place == place && !open.has_ended) else {
            return;
        };
        open.has_grown |= matches!(event, Event::Delta(_));
        if at == 0 {
            out.push(event);
        } else {
            open.waiting.push(event);
        }
    }

    /// Ends a block.
    pub(super) fn end(&mut self, place: Place, out: &mut Vec<Event>) {
        for open in self.open.iter_mut().filter(|open| open.place == place) {
            open.has_ended = true;
            self.ended.insert(place);
        }
        self.advance(out);
    }

    /// Ends all blocks of an item.
    pub(super) fn end_item(&mut self, item: u64, out: &mut Vec<Event>) {
        for open in self.open.iter_mut().filter(|open| open.place.item == item) {
            open.has_ended = true;
            self.ended.insert(open.place);
        }
        self.advance(out);
    }

    /// Ends all blocks.
    pub(super) fn end_all(&mut self, out: &mut Vec<Event>) {
        for open in &mut self.open {
            open.has_ended = true;
            self.ended.insert(open.place);
        }
        self.advance(out);
    }

    /// Hands on what waited for the first block to end.
    fn advance(&mut self, out: &mut Vec<Event>) {
        while let Some(first) = self.open.front() {
            if !first.has_ended {
                return;
            }
            out.push(Event::End);
            self.open.pop_front();
            if let Some(next) = self.open.front_mut() {
                out.append(&mut next.waiting);
            }
        }
    }
}
