//! A stream put together, for clients that want none.

use bytes::Bytes;

use super::codec::Decoder;
use super::estimate::Tally;
use super::openai;
use super::relay::is_whole;
use super::sse::{Frame, FrameReader};
use crate::chat::{Collector, Event, Failure, Response, Usage};

/// The most we gather before we give the stream up.
pub(super) const RECEIVED_MAX: usize = 64 * 1024 * 1024;

/// Puts a provider's stream together.
pub struct Gather(Way);

enum Way {
    /// Member by member, so that what nobody has heard of arrives too.
    OpenAi(Box<openai::Gather>),
    /// Through the common language.
    Coded(Box<Coded>),
}

struct Coded {
    frames: FrameReader,
    decoder: Box<dyn Decoder>,
    collector: Collector,
    events: Vec<Event>,
    received: usize,
    prompt_tokens: u64,
    text: Tally,
}

/// What came of it.
pub(super) enum Gathered {
    /// An answer in the provider's dialect.
    Body(Bytes, Usage),
    /// An answer in nobody's.
    Response(Response, Usage),
}

impl Gather {
    pub(super) fn openai(gather: openai::Gather) -> Gather {
        Gather(Way::OpenAi(Box::new(gather)))
    }

    pub(super) fn coded(decoder: Box<dyn Decoder>, prompt_tokens: u64) -> Gather {
        Gather(Way::Coded(Box::new(Coded {
            frames: FrameReader::new(),
            decoder,
            collector: Collector::default(),
            events: Vec::new(),
            received: 0,
            prompt_tokens,
            text: Tally::default(),
        })))
    }

    /// Whether the stream's own mark has come: what may follow is none of the answer.
    pub fn is_done(&self) -> bool {
        match &self.0 {
            Way::OpenAi(gather) => gather.is_done(),
            Way::Coded(gather) => gather.collector.is_closed(),
        }
    }

    /// Whether the answer is whole, however the stream goes on.
    pub fn is_complete(&self) -> bool {
        match &self.0 {
            Way::OpenAi(gather) => gather.is_complete(),
            Way::Coded(gather) => gather.collector.is_complete(),
        }
    }

    /// Takes what arrived, however it was cut.
    ///
    /// # Errors
    /// The upstream's failure when the stream holds an error or something that is no event of its dialect.
    pub fn push(&mut self, chunk: Bytes) -> Result<(), Failure> {
        match &mut self.0 {
            Way::OpenAi(gather) => gather.push(chunk),
            Way::Coded(gather) => gather.push(chunk),
        }
    }

    /// The upstream has ended.
    pub(super) fn finish(self) -> Result<Gathered, Failure> {
        match self.0 {
            Way::OpenAi(gather) => {
                let (body, usage) = gather.finish()?;
                Ok(Gathered::Body(body, usage))
            }
            Way::Coded(gather) => gather.finish(),
        }
    }
}

impl Coded {
    fn push(&mut self, chunk: Bytes) -> Result<(), Failure> {
        self.received += chunk.len();
        if self.received > RECEIVED_MAX {
            let mib = RECEIVED_MAX >> 20;
            let message = format!("upstream's answer is longer than {mib} MiB");
            return Err(Failure::upstream(message));
        }
        self.frames.push(chunk);
        loop {
            match self.frames.next_frame() {
                Ok(Some(frame)) => self.take(&frame)?,
                Ok(None) => return Ok(()),
                Err(oversized) => return Err(Failure::upstream(oversized.to_string())),
            }
        }
    }

    fn take(&mut self, frame: &Frame) -> Result<(), Failure> {
        if let Some(data) = frame.data()
            && !data.trim_ascii().is_empty()
        {
            self.decoder.decode(&data, &mut self.events);
        }
        self.collect()
    }

    fn collect(&mut self) -> Result<(), Failure> {
        for event in self.events.drain(..) {
            if let Event::Delta(text) = &event {
                self.text.add(text.as_bytes());
            }
            self.collector.take(event);
        }
        match self.collector.failure() {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    }

    fn finish(mut self) -> Result<Gathered, Failure> {
        if let Some(frame) = self.frames.finish()
            && let Some(data) = frame.data()
            && is_whole(&data)
        {
            self.take(&frame)?;
        }
        self.decoder.end(&mut self.events);
        self.collect()?;
        let estimate = Usage::estimate(self.prompt_tokens, self.text.tokens());
        let response = self.collector.finish()?;
        let usage = response.usage.unwrap_or(estimate);
        Ok(Gathered::Response(response, usage))
    }
}
