//! How the candidates of one tier are put in order.

/// Who of a tier is tried first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// By turns, as their weights say; exact over every full cycle.
    #[default]
    WeightedRoundRobin,
    /// Whose quota would otherwise be left over: the most headroom in the scarcest window, by how much time
    /// is left to use it.
    Quota,
}
