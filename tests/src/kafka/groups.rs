//! What the broker knows of consumer groups.

use rdkafka::consumer::Consumer as _;

use super::wait::{DEADLINE, eventually};
use super::{Isolation, Topics};

impl Topics {
    /// How many members a group has at this moment; none when there is no such group.
    pub fn members(&self, group: &str) -> usize {
        let consumer = self.reader(Isolation::ReadUncommitted);
        let groups = eventually(&format!("the broker describes group {group}"), || {
            consumer.fetch_group_list(Some(group), DEADLINE)
        });
        groups.groups().iter().map(|group| group.members().len()).sum()
    }
}
