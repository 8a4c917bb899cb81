//! The transaction coordinator: producer epochs, open transactions, their end by the client or by the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::group::Mark;
use super::log::{Serial, TwinRecord};
use super::state::{Slot, State};

/// A producer of a newer epoch has taken over.
#[derive(Debug)]
pub(super) struct Fenced;

/// What the coordinator knows about one transactional id.
#[derive(Debug, Default)]
pub(super) struct TransactionalId {
    pub(super) epoch: u32,
    open: Option<Serial>,
    /// A commit that is on its way: of which epoch, and when it arrives by itself.
    late: Option<(u32, Duration)>,
}

#[derive(Debug)]
pub(super) struct Transaction {
    id: String,
    expires: Duration,
    touched: BTreeSet<Slot>,
    /// Offsets of groups that become committed with it.
    offsets: BTreeMap<(usize, Slot), Mark>,
    open: bool,
}

/// A producer as the client knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Producer {
    pub(super) id: String,
    pub(super) epoch: u32,
    pub(super) timeout: Duration,
}

impl State {
    /// What `init_transactions` does: ends what an older producer left open, and fences it. Returns the new epoch.
    pub(super) fn init_producer(&mut self, id: &str) -> u32 {
        self.land_late_commit(id);
        let known = self.producers.entry(id.to_owned()).or_default();
        known.epoch += 1;
        known.late = None;
        let (epoch, open) = (known.epoch, known.open);
        if let Some(serial) = open {
            self.end_transaction(serial, false);
        }
        self.note(|_| format!("producer {id} is now of epoch {epoch}"));
        epoch
    }

    /// The open transaction of a producer; the first write or offset of one begins it at the broker.
    fn enlist(&mut self, producer: &Producer) -> Result<Serial, Fenced> {
        let expires = self.now() + producer.timeout;
        let known = self.producers.entry(producer.id.clone()).or_default();
        if known.epoch != producer.epoch {
            return Err(Fenced);
        }
        if let Some(serial) = known.open {
            return Ok(serial);
        }
        let serial = self.transactions.len() as Serial;
        known.open = Some(serial);
        self.transactions.push(Transaction {
            id: producer.id.clone(),
            expires,
            touched: BTreeSet::new(),
            offsets: BTreeMap::new(),
            open: true,
        });
        Ok(serial)
    }

    pub(super) fn write_in_transaction(
        &mut self,
        producer: &Producer,
        slot: Slot,
        record: Arc<TwinRecord>,
    ) -> Result<i64, Fenced> {
        let serial = self.enlist(producer)?;
        self.transactions[serial as usize].touched.insert(slot);
        Ok(self.log_mut(slot).append(record, Some(serial)))
    }

    pub(super) fn add_offsets(
        &mut self,
        producer: &Producer,
        group: usize,
        offsets: &[(Slot, Mark)],
    ) -> Result<(), Fenced> {
        let serial = self.enlist(producer)?;
        let pending = &mut self.transactions[serial as usize].offsets;
        pending.extend(offsets.iter().map(|(slot, mark)| ((group, *slot), mark.clone())));
        Ok(())
    }

    /// Ends the open transaction of a producer. Without one there is nothing to do, as long as it is not fenced.
    pub(super) fn end_of(&mut self, producer: &Producer, committed: bool) -> Result<(), Fenced> {
        let known = self.producers.entry(producer.id.clone()).or_default();
        if known.epoch != producer.epoch {
            return Err(Fenced);
        }
        if let Some(serial) = known.open {
            self.end_transaction(serial, committed);
        }
        Ok(())
    }

    /// The request to commit is on its way, and the client has stopped waiting for the answer.
    pub(super) fn commit_late(&mut self, producer: &Producer) {
        let at = self.now() + self.settings.late_commit;
        if let Some(known) = self.producers.get_mut(&producer.id)
            && known.epoch == producer.epoch
        {
            known.late = Some((producer.epoch, at));
        }
    }

    /// The broker gives a producer's transaction up, and the producer with it.
    pub(super) fn give_up_on(&mut self, id: &str) {
        let Some(known) = self.producers.get_mut(id) else {
            return;
        };
        known.epoch += 1;
        known.late = None;
        if let Some(serial) = known.open {
            self.end_transaction(serial, false);
        }
    }

    /// Commits that arrive late, and transactions that took too long.
    pub(super) fn expire_transactions(&mut self) {
        let now = self.now();
        let due: Vec<(String, bool)> = self
            .producers
            .iter()
            .filter_map(|(id, known)| {
                if known.late.is_some_and(|(_, at)| at <= now) {
                    return Some((id.clone(), true));
                }
                let serial = known.open?;
                (self.transactions[serial as usize].expires <= now).then(|| (id.clone(), false))
            })
            .collect();
        for (id, late) in due {
            if late {
                self.land_late_commit(&id);
            } else {
                self.note(|_| format!("the transaction of producer {id} took too long"));
                self.give_up_on(&id);
            }
        }
    }

    /// Whether an offset of this partition is in an open transaction: then the group does not tell it yet.
    pub(super) fn is_unstable(&self, group: usize, slot: Slot) -> bool {
        self.producers.values().filter_map(|known| known.open).any(|serial| {
            let pending = &self.transactions[serial as usize].offsets;
            pending.contains_key(&(group, slot))
        })
    }

    /// Transactions that are open at the broker.
    pub(super) fn open_transactions(&self) -> usize {
        self.transactions.iter().filter(|transaction| transaction.open).count()
    }

    /// A late request commits whatever is open by then, as Kafka's does before version 2 of transactions.
    fn land_late_commit(&mut self, id: &str) {
        let Some(known) = self.producers.get_mut(id) else {
            return;
        };
        let Some((epoch, _)) = known.late.take() else { return };
        if epoch != known.epoch {
            return;
        }
        if let Some(serial) = known.open {
            self.note(|_| format!("the late commit of producer {id} arrives"));
            self.end_transaction(serial, true);
        }
    }

    fn end_transaction(&mut self, serial: Serial, committed: bool) {
        let transaction = &mut self.transactions[serial as usize];
        transaction.open = false;
        let id = transaction.id.clone();
        let touched = std::mem::take(&mut transaction.touched);
        let offsets = std::mem::take(&mut transaction.offsets);
        for slot in touched {
            self.log_mut(slot).finish(serial, committed);
        }
        if committed {
            for ((group, slot), mark) in offsets {
                self.set_committed(group, slot, mark);
            }
        }
        if let Some(known) = self.producers.get_mut(&id) {
            known.open = None;
        }
        let end = if committed { "committed" } else { "aborted" };
        self.note(|_| format!("transaction {serial} of producer {id} is {end}"));
    }
}
