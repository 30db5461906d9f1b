//! A stream that is decoded: to be handed on as it came and only understood, or to be encoded in another dialect.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::chat::{Block, Event, Failure, Usage};
use crate::protocol::bridge::Restore;
use crate::protocol::codec::{Decoder, Encoder};
use crate::protocol::dialect::Protocol;
use crate::protocol::dialects;
use crate::protocol::run::Run;
use crate::protocol::seen::Seen;
use crate::protocol::sse::{self, Frame, FrameReader};

/// Hands a decoded stream on.
pub(in crate::protocol) struct Coded {
    frames: FrameReader,
    decoder: Box<dyn Decoder>,
    output: Output,
    /// The dialect of the client.
    client: Protocol,
    /// Where Gemini's payloads are elements of one array: how many there were.
    array: Option<usize>,
    seen: Seen,
    prompt_tokens: u64,
    /// Kept for its memory.
    events: Vec<Event>,
}

/// In which form it is handed on.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each stream, within a box"
)]
pub(in crate::protocol) enum Output {
    /// As it came. What was sent so far lets some dialects end it properly when it breaks.
    AsItCame(Box<dyn Interrupted>),
    /// In another dialect, or as something that is no stream of frames.
    Anew {
        /// What the request's tools were called by the client.
        restore: Restore,
        /// Writes the client's stream.
        encoder: Box<dyn Encoder>,
    },
}

/// Ends a stream that was handed on as it came and broke.
pub(in crate::protocol) trait Interrupted {
    /// The data of an event that was handed on.
    fn note(&mut self, data: &[u8]);

    /// What tells the client of the failure.
    fn broken(&mut self, failure: &Failure) -> Vec<u8>;
}

impl Coded {
    pub(in crate::protocol) fn new(
        client: Protocol,
        decoder: Box<dyn Decoder>,
        output: Output,
        prompt_tokens: u64,
    ) -> Coded {
        Coded {
            frames: FrameReader::new(),
            decoder,
            output,
            client,
            array: None,
            seen: Seen::default(),
            prompt_tokens,
            events: Vec::new(),
        }
    }

    /// Hands payloads on as the elements of one array (Gemini).
    pub(in crate::protocol) fn into_array(self) -> Coded {
        Coded {
            array: Some(0),
            ..self
        }
    }

    pub(super) fn push(&mut self, chunk: Bytes, out: &mut VecDeque<Bytes>) {
        if self.seen.failure.is_some() {
            return;
        }
        let mut run = Run::new(chunk.clone(), self.frames.carried());
        let mut text = Vec::new();
        self.frames.push(chunk);
        loop {
            let frame = match self.frames.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(oversized) => {
                    self.fail(Failure::upstream(oversized.to_string()), &mut text);
                    break;
                }
            };
            self.take(frame, &mut run, &mut text, out);
            if self.seen.failure.is_some() {
                break;
            }
        }
        run.flush(out);
        flush(text, out);
    }

    pub(super) fn finish(&mut self, out: &mut VecDeque<Bytes>) {
        if self.seen.failure.is_some() {
            return;
        }
        let mut text = Vec::new();
        if let Some(frame) = self.frames.finish() {
            let is_whole = frame.data().is_some_and(|data| is_whole(&data));
            if is_whole {
                let closing = frame.closing();
                let mut run = Run::new(frame.bytes().clone(), 0);
                self.take(frame, &mut run, &mut text, out);
                if run.flush(out) {
                    text.extend_from_slice(closing);
                }
            }
        }
        if self.seen.failure.is_none() {
            let mut events = std::mem::take(&mut self.events);
            self.decoder.end(&mut events);
            self.note(&events);
            // What was held back of an answer that broke off stays so: half a call must not look like one.
            if !self.seen.finished {
                events.clear();
            }
            self.encode(&mut events, &mut text);
            self.events = events;
            if self.seen.finished && self.array.is_some_and(|elements| elements > 0) {
                text.push(b']');
            }
        }
        flush(text, out);
    }

    /// One frame: understood, and handed on in its form.
    fn take(&mut self, frame: Frame, run: &mut Run, text: &mut Vec<u8>, out: &mut VecDeque<Bytes>) {
        let mut events = std::mem::take(&mut self.events);
        let was_meaningful = self.seen.meaningful;
        let data = frame.data();
        let said = data.as_deref().filter(|data| !data.trim_ascii().is_empty());
        if let Some(data) = said {
            self.decoder.decode(data, &mut events);
        }
        self.note(&events);
        let failed_early = self.seen.failure.is_some() && !was_meaningful;
        match &mut self.output {
            _ if failed_early => run.skip(&frame, out),
            // Google's own decoders know nothing but `data: `.
            Output::AsItCame(_) if self.client == Protocol::Gemini => {
                run.skip(&frame, out);
                if let Some(data) = said {
                    frame_for_google(&one_line(data), &mut self.array, text);
                    if self.seen.failure.is_some() && self.array.is_some() {
                        text.push(b']');
                    }
                }
            }
            // What a provider says of our key is not for the client.
            Output::AsItCame(state)
                if self
                    .seen
                    .failure
                    .as_ref()
                    .is_some_and(|failure| failure.kind.is_of_key()) =>
            {
                run.skip(&frame, out);
                if let Some(failure) = &self.seen.failure {
                    text.extend_from_slice(&state.broken(failure));
                }
            }
            Output::AsItCame(state) => {
                if let Some(data) = said {
                    state.note(data);
                }
                drop(data);
                run.extend(frame, out);
            }
            Output::Anew { .. } => {
                run.skip(&frame, out);
                self.encode(&mut events, text);
            }
        }
        events.clear();
        self.events = events;
    }

    fn encode(&mut self, events: &mut Vec<Event>, text: &mut Vec<u8>) {
        // Who asks OpenAI for usage gets it: from us where the provider never tells.
        let is_owed = self.client == Protocol::OpenAi && self.seen.usage.is_none();
        let estimate = self.seen.usage(self.prompt_tokens);
        if let Output::Anew { restore, encoder } = &mut self.output {
            for event in events.drain(..) {
                if is_owed && matches!(event, Event::Close) {
                    encoder.encode(Event::Usage(estimate), text);
                }
                restore.event(event, |event| encoder.encode(event, text));
            }
        }
        events.clear();
    }

    fn note(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Begin(Block::Call { name, .. }) => {
                    self.seen.meaningful = true;
                    self.seen.text.add(name.as_bytes());
                }
                // In another dialect it is nothing.
                Event::Untold => {
                    let passes = matches!(self.output, Output::AsItCame(_));
                    self.seen.meaningful |= passes;
                }
                Event::Begin(Block::Redacted(_)) => self.seen.meaningful = true,
                Event::Delta(text) => {
                    self.seen.meaningful |= !text.is_empty();
                    self.seen.text.add(text.as_bytes());
                }
                Event::Usage(usage) => self.seen.usage = Some(*usage),
                Event::Finish(_) => {
                    self.seen.meaningful = true;
                    self.seen.finished = true;
                }
                Event::Close => self.seen.done = true,
                Event::Failed(failure) => self.seen.failure = Some(failure.clone()),
                Event::Start
                | Event::Begin(_)
                | Event::Signature(_)
                | Event::Logprobs(_)
                | Event::End => {}
            }
        }
    }

    fn fail(&mut self, failure: Failure, text: &mut Vec<u8>) {
        if self.seen.meaningful {
            text.extend_from_slice(&self.broken(&failure));
        }
        self.seen.failure = Some(failure);
    }

    /// What tells the client that the stream broke.
    pub(super) fn broken(&mut self, failure: &Failure) -> Bytes {
        let mut text = Vec::new();
        match &mut self.output {
            Output::AsItCame(_) if self.array.is_some() => {
                let (_, said) = dialects::render(self.client, failure, "");
                frame_for_google(&said, &mut self.array, &mut text);
                text.push(b']');
            }
            Output::AsItCame(state) => text = state.broken(failure),
            Output::Anew { encoder, .. } => {
                encoder.encode(Event::Failed(failure.clone()), &mut text);
            }
        }
        text.into()
    }

    pub(super) fn keep_alive(&self) -> Option<Bytes> {
        match self.client {
            Protocol::OpenAi | Protocol::Responses => Some(Bytes::from_static(b": keep-alive\n\n")),
            Protocol::Anthropic => Some(Bytes::from_static(
                b"event: ping\ndata: {\"type\": \"ping\"}\n\n",
            )),
            Protocol::Gemini => None,
        }
    }

    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    pub(super) fn usage(&self) -> Usage {
        self.seen.usage(self.prompt_tokens)
    }
}

/// A payload as Google's clients expect it: an event of one line, or the next element of an array.
fn frame_for_google(payload: &[u8], array: &mut Option<usize>, text: &mut Vec<u8>) {
    let (before, after): (&[u8], &[u8]) = match array {
        None => (b"data: ", b"\n\n"),
        Some(0) => (b"[", b""),
        Some(_) => (b",\r\n", b""),
    };
    text.extend_from_slice(before);
    text.extend_from_slice(payload);
    text.extend_from_slice(after);
    if let Some(elements) = array {
        *elements += 1;
    }
}

/// Whether the data of an event that no blank line ended is all of it.
pub(in crate::protocol) fn is_whole(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]" || serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok()
}

/// JSON that is one line to every reader.
fn one_line(data: &[u8]) -> Vec<u8> {
    let mut line = sse::escape_line_ends(data).unwrap_or_else(|| data.to_vec());
    // Several data lines are one document, whose line ends are blanks between values.
    line.iter_mut()
        .filter(|byte| matches!(byte, b'\n' | b'\r'))
        .for_each(|byte| *byte = b' ');
    line
}

fn flush(text: Vec<u8>, out: &mut VecDeque<Bytes>) {
    if !text.is_empty() {
        out.push_back(text.into());
    }
}
