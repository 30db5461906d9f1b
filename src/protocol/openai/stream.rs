//! A stream handed on as it comes, and what was seen going by.
//!
//! Frames, not chunks, are the unit: a client never gets half an event, and a frame that only we
//! asked for can be left out. Apart from that every byte is the provider's. Until the first
//! meaningful event each frame is read whole, because it may still turn out that there is no answer;
//! of later ones, as a rule, only what follows the beginning that they share.

use std::collections::VecDeque;

use bytes::Bytes;

use super::chunk::{Chunk, Lead};
use super::{Endpoint, error_event, is_done, usage};
use crate::chat::{Failure, Usage};
use crate::protocol::error;
use crate::protocol::run::Run;
use crate::protocol::seen::Seen;
use crate::protocol::sse::{Frame, FrameReader};

/// Hands a provider's stream on to a client of the same dialect.
#[derive(Debug)]
pub struct Relay {
    endpoint: Endpoint,
    frames: FrameReader,
    seen: Seen,
    lead: Lead,
    told: Told,
    prompt_tokens: u64,
    /// Whether there may be several choices, of which each has an end of its own.
    many: bool,
    /// A chunk of the answer, kept if we may have to write one that looks like it.
    sample: Option<Box<[u8]>>,
}

/// Who gets to know the usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// Whoever asked is told, or nobody asked.
    AsItComes,
    /// Only we asked.
    Hidden,
    /// The client asked, and is told an estimate if the provider is silent about it.
    Owed,
}

/// What is to happen to a frame.
enum Verdict {
    Forward,
    Hide,
    /// The frame goes on, behind the usage that the client is owed.
    AfterUsage,
    /// The stream is over: forward the frame and drop everything after it.
    ForwardLast,
    /// The stream is over: drop the frame and everything after it.
    DropAll,
    /// The same, and the failure is told in our words.
    Reword,
}

impl Relay {
    /// A relay at the beginning of a stream. `prompt_tokens` is our estimate of the prompt.
    pub fn new(
        endpoint: Endpoint,
        client_asked_usage: bool,
        we_asked_usage: bool,
        prompt_tokens: u64,
    ) -> Relay {
        Relay {
            endpoint,
            frames: FrameReader::new(),
            seen: Seen::default(),
            lead: Lead::default(),
            told: match (client_asked_usage, we_asked_usage) {
                (true, _) => Told::Owed,
                (false, true) => Told::Hidden,
                (false, false) => Told::AsItComes,
            },
            prompt_tokens,
            many: false,
            sample: None,
        }
    }

    /// The client asked for so many choices. Of more than one every frame is read whole: a part does not
    /// tell whose it is.
    pub fn of_choices(self, choices: u64) -> Relay {
        Relay {
            many: choices > 1,
            ..self
        }
    }

    /// Takes what arrived, however it was cut, and adds to `out` what the client may have now: one
    /// slice of the chunk where nothing has to be left out and no frame began earlier.
    pub fn push(&mut self, chunk: Bytes, out: &mut VecDeque<Bytes>) {
        if self.seen.failure.is_some() {
            return;
        }
        let mut run = Run::new(chunk.clone(), self.frames.carried());
        self.frames.push(chunk);
        loop {
            let frame = match self.frames.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => {
                    run.flush(out);
                    return;
                }
                Err(oversized) => {
                    run.flush(out);
                    return self.fail(Failure::upstream(oversized.to_string()), out);
                }
            };
            match self.look(&frame) {
                Verdict::Forward => run.extend(frame, out),
                Verdict::Hide => run.skip(&frame, out),
                Verdict::AfterUsage => {
                    run.flush(out);
                    out.push_back(self.owed_usage());
                    run.extend(frame, out);
                }
                Verdict::ForwardLast => {
                    run.extend(frame, out);
                    run.flush(out);
                    return;
                }
                Verdict::DropAll => {
                    run.flush(out);
                    return;
                }
                Verdict::Reword => {
                    run.flush(out);
                    return out.extend(self.seen.failure.as_ref().map(error_event));
                }
            }
        }
    }

    /// The upstream has ended. Hands on a last event that only lacks its blank line, and the usage
    /// that the client is owed. Half an event is left out.
    pub fn finish(&mut self, out: &mut VecDeque<Bytes>) {
        if self.seen.failure.is_some() {
            return;
        }
        if let Some(frame) = self.frames.finish() {
            self.last(frame, out);
        }
        if self.told == Told::Owed && self.seen.finished && self.seen.failure.is_none() {
            out.push_back(self.owed_usage());
        }
    }

    /// What has gone by.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// What the answer cost so far.
    pub fn usage(&self) -> Usage {
        self.seen.usage(self.prompt_tokens)
    }

    fn last(&mut self, frame: Frame, out: &mut VecDeque<Bytes>) {
        let whole = frame
            .data()
            .is_some_and(|data| is_done(&data) || Chunk::read(&data).is_ok());
        if !whole {
            return;
        }
        let verdict = self.look(&frame);
        if let Verdict::AfterUsage = verdict {
            out.push_back(self.owed_usage());
        }
        match verdict {
            Verdict::Hide | Verdict::DropAll => {}
            Verdict::Reword => out.extend(self.seen.failure.as_ref().map(error_event)),
            Verdict::Forward | Verdict::AfterUsage | Verdict::ForwardLast => {
                let closing = frame.closing();
                out.push_back(frame.into_bytes());
                if !closing.is_empty() {
                    out.push_back(Bytes::from_static(closing));
                }
            }
        }
    }

    fn look(&mut self, frame: &Frame) -> Verdict {
        if self.seen.done {
            return Verdict::Forward;
        }
        if self.seen.meaningful
            && !self.many
            && let Some(said) = frame.data_line().and_then(|data| self.lead.follow(data))
        {
            self.seen.text += said.text;
            return Verdict::Forward;
        }
        match frame.data() {
            Some(data) => self.read(&data),
            None => Verdict::Forward,
        }
    }

    fn read(&mut self, data: &[u8]) -> Verdict {
        if data.trim_ascii().is_empty() {
            return Verdict::Forward;
        }
        if is_done(data) {
            self.seen.done = true;
            self.seen.finished = true;
            return match self.told {
                Told::Owed => Verdict::AfterUsage,
                _ => Verdict::Forward,
            };
        }
        let chunk = match Chunk::read(data) {
            Ok(chunk) => chunk,
            // The client is already reading; it may know better than we do.
            Err(_) if self.seen.meaningful => {
                self.seen.strange = true;
                return Verdict::Forward;
            }
            Err(_) => {
                let what = "upstream's stream holds an event that is not valid JSON";
                self.seen.failure = Some(Failure::upstream(what));
                return Verdict::DropAll;
            }
        };
        if chunk.is_error {
            let failure = error::reported(data);
            let is_of_key = failure.kind.is_of_key();
            self.seen.failure = Some(failure);
            return match self.seen.meaningful {
                true if is_of_key => Verdict::Reword,
                true => Verdict::ForwardLast,
                false => Verdict::DropAll,
            };
        }
        self.seen.note(&chunk, self.many);
        self.seen.strange |= chunk.choices == 0 && chunk.usage.is_none();
        self.lead.learn(&chunk, data);
        if chunk.usage.is_some() && self.told == Told::Owed {
            self.told = Told::AsItComes;
        }
        if self.told == Told::Owed && self.sample.is_none() && chunk.is_meaningful() {
            self.sample = Some(data.into());
        }
        match self.told {
            Told::Hidden if chunk.usage.is_some() && chunk.choices == 0 => Verdict::Hide,
            _ => Verdict::Forward,
        }
    }

    fn fail(&mut self, failure: Failure, out: &mut VecDeque<Bytes>) {
        if self.seen.meaningful {
            out.push_back(error_event(&failure));
        }
        self.seen.failure = Some(failure);
    }

    /// The usage chunk that the provider should have sent, in the likeness of its others.
    fn owed_usage(&mut self) -> Bytes {
        self.told = Told::AsItComes;
        let sample = self.sample.as_deref().unwrap_or_default();
        let chunk = Chunk::read(sample).unwrap_or_default();
        let mut text = b"data: {".to_vec();
        for (name, value) in [
            ("id", chunk.id),
            ("created", chunk.created),
            ("model", chunk.model),
        ] {
            if let Some(value) = value {
                text.extend_from_slice(format!("\"{name}\":").as_bytes());
                text.extend_from_slice(value);
                text.push(b',');
            }
        }
        let object = self.endpoint.chunk_object();
        let usage = usage::write(&self.usage());
        let rest = format!("\"object\":\"{object}\",\"choices\":[],\"usage\":{usage}}}\n\n");
        text.extend_from_slice(rest.as_bytes());
        text.into()
    }
}

impl Seen {
    fn note(&mut self, chunk: &Chunk<'_>, many: bool) {
        self.meaningful |= chunk.is_meaningful();
        self.finished |= chunk.finished;
        if many {
            for (index, ends) in &chunk.ends {
                *self.choices.entry(*index).or_default() |= ends;
            }
            self.finished &= self.choices.values().all(|ended| *ended);
        }
        self.usage = chunk.usage.or(self.usage);
        self.text += chunk.said.text;
    }
}
