//! What a simulator says, and in which manner, when it answers at all.

use std::time::Duration;

use serde_json::Value;

/// An answer: its content, its manner, and where it breaks.
///
/// Every method returns the changed answer, so that a test reads as a sentence:
/// `Answer::text("Hello, world!").drip(5, ms(10)).cut_after(3)`.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The text of the message.
    pub text: String,
    /// `reasoning_content`, before the text.
    pub reasoning: Option<String>,
    /// `refusal`, instead of the text.
    pub refusal: Option<String>,
    /// Tool calls, after the text; all of them parallel.
    pub tool_calls: Vec<ToolCall>,
    /// `finish_reason`; `None` is `stop`, or `tool_calls` when there are any.
    pub finish_reason: Option<String>,
    /// The model it claims to be; `None` repeats the one that was asked for.
    pub model: Option<String>,
    /// Prompt and completion tokens; `None` never tells.
    pub usage: Option<(u64, u64)>,
    /// Headers besides those that frame the answer.
    pub headers: Vec<(String, String)>,
    /// `Content-Type`; `None` is what fits.
    pub content_type: Option<String>,
    /// Whether it streams.
    pub streaming: Streaming,
    /// When a stream tells the usage.
    pub usage_in_stream: UsageInStream,
    /// Refuse a request that has `stream_options` with 400.
    pub reject_stream_options: bool,
    /// Into how many events the text is cut, at most one per character; `None` is one per word.
    pub chunk_count: Option<usize>,
    /// Wait before each event of a stream.
    pub chunk_every: Duration,
    /// How the bytes of a stream are spread over writes, when there is no wait between events.
    pub writes: Writes,
    /// Leave out `[DONE]`.
    pub skip_done: bool,
    pub(super) fault: Option<(usize, Fault)>,
}

/// A call of a function that the model asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// Its id, such as `call_1`.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// The arguments as JSON text.
    pub arguments: String,
}

/// Whether an answer streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Streaming {
    /// When the request asks for it.
    #[default]
    AsAsked,
    /// Never: a plain answer whatever was asked.
    Never,
    /// Always: a stream whatever was asked.
    Always,
}

/// When a stream tells its usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UsageInStream {
    /// In an event of its own, when `stream_options.include_usage` asks for it.
    #[default]
    WhenAsked,
    /// In an event of its own, asked or not.
    Always,
    /// In the event that has the finish reason, asked or not.
    WithFinish,
    /// Not even when asked.
    Never,
}

/// How the bytes of a stream are spread over writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Writes {
    /// One write per event.
    #[default]
    PerEvent,
    /// All events in one write.
    Burst,
    /// Writes of this many bytes, wherever they fall.
    Pieces(usize),
}

/// How a stream goes wrong after some events. A plain answer goes wrong half-way through its body.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// The connection is closed in mid-body.
    Cut,
    /// The connection is reset in mid-body.
    Reset,
    /// Nothing more comes.
    Stall,
    /// An error object comes, and a proper end of the body. A plain answer is this object alone.
    Error(Value),
}

impl Answer {
    /// A whole answer with this text, 10 prompt and 20 completion tokens.
    pub fn text(text: impl Into<String>) -> Answer {
        Answer {
            text: text.into(),
            reasoning: None,
            refusal: None,
            tool_calls: Vec::new(),
            finish_reason: None,
            model: None,
            usage: Some((10, 20)),
            headers: Vec::new(),
            content_type: None,
            streaming: Streaming::AsAsked,
            usage_in_stream: UsageInStream::WhenAsked,
            reject_stream_options: false,
            chunk_count: None,
            chunk_every: Duration::ZERO,
            writes: Writes::PerEvent,
            skip_done: false,
            fault: None,
        }
    }

    /// A text of this many words, one event each.
    pub fn words(count: usize) -> Answer {
        let words: Vec<String> = (1..=count).map(|n| format!("word{n}")).collect();
        Answer::text(words.join(" "))
    }

    /// Adds a call of a tool; ids are `call_1`, `call_2`, and so on.
    pub fn tool_call(mut self, name: &str, arguments: &str) -> Answer {
        self.tool_calls.push(ToolCall {
            id: format!("call_{}", self.tool_calls.len() + 1),
            name: name.into(),
            arguments: arguments.into(),
        });
        self
    }

    /// Thinks before it speaks.
    pub fn reasoning(mut self, text: impl Into<String>) -> Answer {
        self.reasoning = Some(text.into());
        self
    }

    /// Refuses in words.
    pub fn refusal(mut self, text: impl Into<String>) -> Answer {
        self.refusal = Some(text.into());
        self
    }

    /// Ends for this reason.
    pub fn finish(mut self, reason: &str) -> Answer {
        self.finish_reason = Some(reason.into());
        self
    }

    /// Claims to be this model.
    pub fn model(mut self, model: &str) -> Answer {
        self.model = Some(model.into());
        self
    }

    /// Costs this many tokens.
    pub fn usage(mut self, prompt: u64, completion: u64) -> Answer {
        self.usage = Some((prompt, completion));
        self
    }

    /// Never tells what it cost.
    pub fn without_usage(mut self) -> Answer {
        self.usage = None;
        self
    }

    /// Tells the usage in streams as given.
    pub fn usage_in_stream(mut self, when: UsageInStream) -> Answer {
        self.usage_in_stream = when;
        self
    }

    /// Answers 400 to `stream_options`.
    pub fn rejecting_stream_options(mut self) -> Answer {
        self.reject_stream_options = true;
        self
    }

    /// Cuts the text into `chunks` events and waits before each event.
    pub fn drip(mut self, chunks: usize, every: Duration) -> Answer {
        self.chunk_count = Some(chunks);
        self.chunk_every = every;
        self
    }

    /// Cuts the text into this many events.
    pub fn chunks(mut self, chunks: usize) -> Answer {
        self.chunk_count = Some(chunks);
        self
    }

    /// Never streams.
    pub fn never_streams(mut self) -> Answer {
        self.streaming = Streaming::Never;
        self
    }

    /// Always streams.
    pub fn always_streams(mut self) -> Answer {
        self.streaming = Streaming::Always;
        self
    }

    /// Sends all events in one write.
    pub fn in_one_write(mut self) -> Answer {
        self.writes = Writes::Burst;
        self
    }

    /// Sends writes of `size` bytes, which respect no boundary.
    pub fn in_pieces(mut self, size: usize) -> Answer {
        self.writes = Writes::Pieces(size);
        self
    }

    /// Ends without `[DONE]`.
    pub fn without_done(mut self) -> Answer {
        self.skip_done = true;
        self
    }

    /// Has this `Content-Type`.
    pub fn content_type(mut self, content_type: &str) -> Answer {
        self.content_type = Some(content_type.into());
        self
    }

    /// Has one more header.
    pub fn header(mut self, name: &str, value: &str) -> Answer {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Closes the connection after this many events, in the middle of the body.
    pub fn cut_after(mut self, events: usize) -> Answer {
        self.fault = Some((events, Fault::Cut));
        self
    }

    /// Resets the connection after this many events.
    pub fn reset_after(mut self, events: usize) -> Answer {
        self.fault = Some((events, Fault::Reset));
        self
    }

    /// Falls silent after this many events.
    pub fn stall_after(mut self, events: usize) -> Answer {
        self.fault = Some((events, Fault::Stall));
        self
    }

    /// Sends this object, usually `{"error": …}`, after so many events, and ends there with a proper body.
    pub fn error_after(mut self, events: usize, error: Value) -> Answer {
        self.fault = Some((events, Fault::Error(error)));
        self
    }
}
