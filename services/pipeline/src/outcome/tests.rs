use proptest::prelude::*;

use super::*;

const UNCERTAIN: Outcome = Outcome::Selected(Arms::NONE.with(Arm::Uncertainty));

fn accounts_with(outcomes: &[Outcome]) -> Accounts {
    let mut accounts = Accounts::new();
    accounts.consume(outcomes.len() as u64);
    for outcome in outcomes {
        accounts.settle(*outcome);
    }
    accounts
}

#[test]
fn a_tally_counts_a_selected_record_as_predicted_too() {
    let mut tally = Tally::default();
    assert!(tally.is_empty());
    tally.add(Outcome::Predicted);
    tally.add(Outcome::Selected(Arm::ALL.into_iter().collect()));
    tally.add(Outcome::DeadLettered(Reason::Malformed));
    assert_eq!(tally.predicted(), 2);
    assert_eq!(tally.selected(), 1);
    assert_eq!(tally.selected_by(Arm::Uncertainty), 1);
    assert_eq!(tally.selected_by(Arm::Anomaly), 1);
    assert_eq!(tally.dead_lettered(), 1);
    assert_eq!(tally.dead_lettered_for(Reason::Malformed), 1);
    assert_eq!(tally.dead_lettered_for(Reason::Tombstone), 0);
    assert_eq!(tally.settled(), 3);
    assert!(!tally.is_empty());
}

#[test]
fn what_was_counted_since_an_earlier_state_adds_up_to_the_present() {
    let mut earlier = Tally::default();
    earlier.add(UNCERTAIN);
    let mut now = earlier;
    now.add(Outcome::DeadLettered(Reason::TooLarge));
    now.add(UNCERTAIN);
    let mut sum = earlier;
    sum.merge(&now.since(&earlier));
    assert_eq!(sum, now);
    assert!(now.since(&now).is_empty());
}

#[test]
fn every_reason_has_a_place_of_its_own() {
    for (index, reason) in Reason::ALL.iter().enumerate() {
        assert_eq!(*reason as usize, index);
        let mut tally = Tally::default();
        tally.add(Outcome::DeadLettered(*reason));
        assert_eq!(tally.dead_lettered_for(*reason), 1);
        assert_eq!(tally.dead_lettered(), 1);
    }
}

#[test]
fn an_outcome_is_published_when_its_span_is_committed_and_not_before() {
    let mut accounts = accounts_with(&[Outcome::Predicted, UNCERTAIN]);
    assert!(accounts.published().is_empty());
    accounts.mark();
    assert!(accounts.published().is_empty());
    accounts.commit();
    assert_eq!(accounts.published().predicted(), 2);
    assert_eq!(accounts.in_flight(), 0);
}

#[test]
fn a_commit_makes_the_oldest_span_durable_first() {
    let mut accounts = accounts_with(&[Outcome::Predicted]);
    accounts.mark();
    accounts.consume(1);
    accounts.settle(Outcome::DeadLettered(Reason::Malformed));
    accounts.mark();
    accounts.commit();
    assert_eq!(accounts.published().predicted(), 1);
    assert_eq!(accounts.published().dead_lettered(), 0);
    assert_eq!(accounts.spans(), 1);
}

#[test]
fn a_rollback_abandons_marked_open_and_pending_records_and_nothing_durable() {
    let mut accounts = accounts_with(&[Outcome::Predicted]);
    accounts.mark();
    accounts.commit();
    accounts.consume(4);
    accounts.settle(Outcome::Predicted);
    accounts.mark();
    accounts.settle(UNCERTAIN);
    accounts.rollback();
    assert_eq!(accounts.abandoned(), 4);
    assert_eq!(accounts.published().predicted(), 1);
    assert_eq!(accounts.published().selected(), 0);
    assert_eq!(accounts.spans(), 0);
    assert_eq!(accounts.in_flight(), 0);
}

#[test]
fn a_record_without_an_outcome_outlives_the_mark() {
    let mut accounts = accounts_with(&[Outcome::Predicted]);
    accounts.consume(1);
    accounts.mark();
    accounts.commit();
    assert_eq!(accounts.in_flight(), 1);
    accounts.settle(Outcome::Predicted);
    accounts.mark();
    accounts.commit();
    assert_eq!(accounts.published().predicted(), 2);
}

#[test]
fn a_commit_without_a_mark_changes_nothing() {
    let mut accounts = accounts_with(&[Outcome::Predicted]);
    let before = accounts.balance();
    accounts.commit();
    assert_eq!(accounts.balance(), before);
}

#[test]
#[should_panic(expected = "every outcome belongs to one consumed record")]
fn a_second_outcome_for_one_record_is_a_broken_invariant() {
    let mut accounts = accounts_with(&[Outcome::Predicted]);
    accounts.settle(Outcome::Predicted);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Consume(u8),
    Settle(Outcome),
    Abandon,
    Mark,
    Commit,
    Rollback,
}

fn step() -> impl Strategy<Value = Step> {
    let arms = proptest::sample::subsequence(Arm::ALL.to_vec(), 0..=Arm::ALL.len());
    let outcome = prop_oneof![
        4 => Just(Outcome::Predicted),
        2 => arms.prop_map(|arms| Outcome::Selected(arms.into_iter().collect())),
        1 => proptest::sample::select(Reason::ALL).prop_map(Outcome::DeadLettered),
    ];
    prop_oneof![
        3 => (0..5u8).prop_map(Step::Consume),
        10 => outcome.prop_map(Step::Settle),
        1 => Just(Step::Abandon),
        3 => Just(Step::Mark),
        3 => Just(Step::Commit),
        1 => Just(Step::Rollback),
    ]
}

/// The same books kept the long way: every record by itself.
#[derive(Debug, Default)]
struct Model {
    pending: usize,
    open: Vec<Outcome>,
    marked: VecDeque<Vec<Outcome>>,
    durable: Vec<Outcome>,
    abandoned: u64,
}

impl Model {
    fn apply(&mut self, step: Step, accounts: &mut Accounts) {
        match step {
            Step::Consume(records) => {
                accounts.consume(records.into());
                self.pending += usize::from(records);
            }
            Step::Settle(outcome) if self.pending > 0 => {
                accounts.settle(outcome);
                self.pending -= 1;
                self.open.push(outcome);
            }
            Step::Abandon if self.pending > 0 => {
                accounts.abandon(1);
                self.pending -= 1;
                self.abandoned += 1;
            }
            Step::Settle(_) | Step::Abandon => {}
            Step::Mark => {
                accounts.mark();
                self.marked.push_back(std::mem::take(&mut self.open));
            }
            Step::Commit => {
                accounts.commit();
                self.durable.extend(self.marked.pop_front().unwrap_or_default());
            }
            Step::Rollback => {
                accounts.rollback();
                let lost = self.pending + self.open.len() + self.marked.iter().map(Vec::len).sum::<usize>();
                *self = Self {
                    durable: std::mem::take(&mut self.durable),
                    abandoned: self.abandoned + lost as u64,
                    ..Self::default()
                };
            }
        }
    }
}

#[test]
fn property_the_books_balance_after_every_step() {
    proptest!(|(steps in proptest::collection::vec(step(), 0..120))| {
        let mut accounts = Accounts::new();
        let mut model = Model::default();
        let mut before = Balance::default();
        for step in steps {
            model.apply(step, &mut accounts);
            let balance = accounts.balance();
            prop_assert!(balance.holds(), "{:?}", balance);
            prop_assert!(balance.predicted >= before.predicted, "what is durable stays");
            prop_assert!(balance.dead_lettered >= before.dead_lettered, "what is durable stays");
            before = balance;

            let mut expected = Tally::default();
            model.durable.iter().for_each(|outcome| expected.add(*outcome));
            prop_assert_eq!(accounts.published(), &expected);
            prop_assert_eq!(accounts.abandoned(), model.abandoned);
            prop_assert_eq!(accounts.spans(), model.marked.len());
        }
    });
}
