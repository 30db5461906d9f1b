//! Texts that are to become vectors, and those vectors.

/// What a client wants vectors of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Embedding {
    /// The texts, one for each vector.
    pub inputs: Vec<String>,
    /// How long the vectors are to be; `None` leaves that to the provider.
    pub dimensions: Option<u64>,
}

/// The vectors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embeddings {
    /// In the order of the texts.
    pub vectors: Vec<Vec<f32>>,
    /// What the texts cost, if the provider told.
    pub tokens: Option<u64>,
}
