//! Smooth weighted round robin: whose turn it is within a tier.
//!
//! Every full cycle (as many picks as the weights sum up to) follows the weights exactly, and the
//! turns of a heavy member are spread over the cycle: weights 5, 1, 1 give `a a b a c a a`. The
//! algorithm is the one nginx made known: every member gains its weight, the richest is picked and
//! pays the sum.

use parking_lot::Mutex;

/// The turns of one tier. Shared by all workers: exactness needs one common memory.
#[derive(Debug)]
pub struct Wheel {
    weights: Vec<u32>,
    credit: Mutex<Vec<i64>>,
}

impl Wheel {
    /// A wheel for members of these weights, at the start of a cycle.
    pub fn new(weights: Vec<u32>) -> Wheel {
        let credit = Mutex::new(vec![0; weights.len()]);
        Wheel { weights, credit }
    }

    /// The weights it turns by.
    pub fn weights(&self) -> &[u32] {
        &self.weights
    }

    /// Puts those who take part in order: the one whose turn it is first, the others by how near their
    /// turn is, members of weight 0 last. Only the first has used up its turn.
    pub fn order(&self, order: &mut [usize]) {
        if order.len() < 2 {
            return;
        }
        let mut credit = self.credit.lock();
        let mut sum = 0;
        for &member in order.iter() {
            credit[member] += i64::from(self.weights[member]);
            sum += i64::from(self.weights[member]);
        }
        // Stable, so equal members keep the order of the file.
        order.sort_by_key(|&member| (self.weights[member] == 0, -credit[member]));
        if let Some(&first) = order.first() {
            credit[first] -= sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Wheel;

    fn picks(wheel: &Wheel, count: usize, takes_part: impl Fn(usize) -> bool) -> Vec<usize> {
        (0..count).map(|_| order(wheel, &takes_part)[0]).collect()
    }

    fn order(wheel: &Wheel, takes_part: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut order: Vec<_> = (0..wheel.weights().len())
            .filter(|m| takes_part(*m))
            .collect();
        wheel.order(&mut order);
        order
    }

    #[test]
    fn turns_are_spread_over_the_cycle() {
        let wheel = Wheel::new(vec![5, 1, 1]);
        assert_eq!(picks(&wheel, 7, |_| true), [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn weight_zero_serves_only_when_nothing_else_is_left() {
        let wheel = Wheel::new(vec![0, 3, 0]);
        assert_eq!(picks(&wheel, 10, |_| true), [1; 10]);
        assert_eq!(picks(&wheel, 2, |member| member == 2), [2, 2]);
        assert_eq!(order(&wheel, |_| true), [1, 0, 2]);
    }

    #[test]
    fn the_last_member_standing_does_not_disturb_the_cycle() {
        let wheel = Wheel::new(vec![1, 2]);
        picks(&wheel, 5, |member| member == 0);
        assert_eq!(picks(&wheel, 3, |_| true), [1, 0, 1]);
    }

    proptest! {
        #[test]
        fn every_cycle_is_exact(weights in prop::collection::vec(0u32..40, 1..6), cycles in 1usize..4) {
            let sum: u32 = weights.iter().sum();
            prop_assume!(sum > 0);
            let wheel = Wheel::new(weights.clone());
            for _ in 0..cycles {
                let turns = picks(&wheel, sum as usize, |_| true);
                for (member, &weight) in weights.iter().enumerate() {
                    // A lone member needs no turns and keeps no credit.
                    if weights.len() > 1 {
                        let got = turns.iter().filter(|turn| **turn == member).count();
                        prop_assert_eq!(got, weight as usize);
                    }
                }
            }
        }

        #[test]
        fn an_order_names_each_participant_once(weights in prop::collection::vec(0u32..9, 1..7), mask in any::<u8>()) {
            let wheel = Wheel::new(weights.clone());
            let mut sorted = order(&wheel, |member| mask & (1 << member) != 0);
            sorted.sort_unstable();
            let expected: Vec<usize> = (0..weights.len()).filter(|m| mask & (1 << m) != 0).collect();
            prop_assert_eq!(sorted, expected);
        }
    }
}
