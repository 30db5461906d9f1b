//! Tests of the parts together: tables for every rule, recorded shapes of traffic, properties.

mod decoder;
mod error;
mod fixtures;
mod gather;
mod properties;
mod stream;
mod synthesize;
mod translate;

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::Value;

use super::*;
use crate::chat::{Failure, Usage};

const CHAT: Endpoint = Endpoint::ChatCompletions;

fn json(text: impl AsRef<[u8]>) -> Value {
    let text = text.as_ref();
    serde_json::from_slice(text).unwrap_or_else(|error| panic!("{error}: {}", text.escape_ascii()))
}

/// What a relay hands on of chunks that arrive one by one, and what it has seen at the end.
fn relayed<'c>(mut relay: Relay, chunks: impl IntoIterator<Item = &'c [u8]>) -> (String, Relay) {
    let mut out = VecDeque::new();
    for chunk in chunks {
        relay.push(Bytes::copy_from_slice(chunk), &mut out);
    }
    relay.finish(&mut out);
    let out: Vec<u8> = out.iter().flat_map(|piece| piece.to_vec()).collect();
    (String::from_utf8_lossy(&out).into_owned(), relay)
}

fn gathered<'c>(
    endpoint: Endpoint,
    chunks: impl IntoIterator<Item = &'c [u8]>,
) -> Result<(Value, Usage), Failure> {
    let mut gather = Gather::new(endpoint, 7);
    for chunk in chunks {
        gather.push(Bytes::copy_from_slice(chunk))?;
    }
    let (body, usage) = gather.finish()?;
    Ok((json(body), usage))
}

/// Bytes cut at some places.
fn cut(bytes: &[u8], mut places: Vec<usize>) -> Vec<&[u8]> {
    places.push(bytes.len());
    places.sort_unstable();
    let mut start = 0;
    let mut chunks = Vec::new();
    for place in places {
        let end = place.min(bytes.len());
        chunks.push(&bytes[start..end]);
        start = end;
    }
    chunks
}
