use eddy_broker::Broker;
use eddy_broker::embedded::{EmbeddedBroker, Offered, UNREAD_MAX_BYTES};
use eddy_broker::settings::{Guarantee, Topics};

use crate::driver::{Lane, partition, settings_at, until};

#[test]
fn the_generator_waits_for_its_reader_and_nothing_is_lost() {
    let embedded = EmbeddedBroker::start().unwrap();
    for (_, topic) in Topics::default().all() {
        embedded.create_topic(topic, 1).unwrap();
    }
    let settings = settings_at(&embedded.bootstrap(), Guarantee::AtLeastOnce);
    let mut generator = embedded.generator("events", 1, &settings.group()).unwrap();
    let value = vec![0; 50_000];
    // More than three times what the cluster keeps.
    let count = 16 * 1024 * 1024 / value.len();
    let mut lane = Lane::with_everything(&settings);
    let mut offered = 0;
    let mut waited = 0;
    until("everything was read", || {
        while offered < count && generator.offer(0, None, &value, &[]).unwrap() == Offered::Taken {
            offered += 1;
        }
        waited += usize::from(offered < count);
        assert!(generator.unread_bytes(0).unwrap() <= UNREAD_MAX_BYTES);
        while lane.poll() == eddy_broker::Polled::Record {}
        lane.broker
            .store_offsets(&[(partition(0), lane.seen.len() as i64)], true)
            .unwrap();
        for seen in &mut lane.seen {
            seen.value.clear();
        }
        (lane.seen.len() == count).then_some(())
    });
    assert!(waited > 0);
    assert_eq!(lane.offsets(), (0..count as i64).collect::<Vec<_>>());
}

#[test]
fn a_partition_that_is_not_there_is_an_error() {
    let embedded = EmbeddedBroker::start().unwrap();
    embedded.create_topic("events", 1).unwrap();
    let mut generator = embedded.generator("events", 1, "group").unwrap();
    let error = generator.offer(1, None, b"", &[]).unwrap_err();
    assert!(error.to_string().contains("`events` [1]"), "{error}");
}
