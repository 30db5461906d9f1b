//! What both sides of the dialect say, in whole and in streams.
