use eddy_broker::settings::{Guarantee, Membership};
use eddy_broker::{Broker, Fault, Polled};

use rdkafka::ClientConfig;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::driver::{DEADLINE, Lane, cluster, partition, produce, settings, until};

#[test]
fn nothing_is_fetched_before_the_lane_accepts() {
    let cluster = cluster(1);
    produce(&cluster.bootstrap_servers(), 0, 0..5);
    let mut lane = Lane::open(&settings(&cluster, Guarantee::AtLeastOnce), 0);
    let partitions = lane.assigned();
    assert_eq!(partitions, [partition(0)]);
    for _ in 0..20 {
        assert_eq!(lane.poll(), Polled::Idle);
    }
    lane.broker.accept(&partitions).unwrap();
    lane.read(5);
    assert_eq!(lane.offsets(), [0, 1, 2, 3, 4]);
    assert_eq!(lane.seen[3].value, b"3");
    assert_eq!(lane.broker.topic(partition(0)), "events");
    lane.broker.close().unwrap();
}

#[test]
fn a_second_lane_gets_its_share_only_when_the_first_lets_go() {
    let cluster = cluster(4);
    let settings = settings(&cluster, Guarantee::AtLeastOnce);
    let mut first = Lane::with_everything(&settings);
    let mut second = Lane::open(&settings, 1);

    let (moving, lost) = until("the first lane has to give up partitions", || {
        assert_eq!(second.poll(), Polled::Idle);
        match first.poll() {
            Polled::Revoked { partitions, lost } => Some((partitions, lost)),
            _ => None,
        }
    });
    assert_eq!((moving.len(), lost), (2, false));
    for _ in 0..20 {
        assert_eq!((first.poll(), second.poll()), (Polled::Idle, Polled::Idle));
    }

    first.broker.release(&moving).unwrap();
    let mut taken = until("the second lane is given partitions", || {
        first.poll();
        match second.poll() {
            Polled::Assigned(partitions) => Some(partitions),
            _ => None,
        }
    });
    taken.sort();
    let mut moving = moving;
    moving.sort();
    assert_eq!(taken, moving);
    second.broker.accept(&taken).unwrap();

    for number in 0..4 {
        produce(&cluster.bootstrap_servers(), number, 0..3);
    }
    until("both lanes have read their share", || {
        first.poll();
        second.poll();
        (first.seen.len() + second.seen.len() >= 12).then_some(())
    });
    let of_second = |number: i32| taken.contains(&partition(number));
    assert!(second.seen.iter().all(|seen| of_second(seen.partition)));
    assert!(first.seen.iter().all(|seen| !of_second(seen.partition)));
}

#[test]
fn a_partition_that_left_during_a_pause_flows_when_it_comes_back() {
    let cluster = cluster(2);
    let settings = settings(&cluster, Guarantee::AtLeastOnce);
    let mut first = Lane::with_everything(&settings);
    first.broker.pause(true).unwrap();
    let mut second = Lane::open(&settings, 1);
    let moving = until("the first lane has to give up a partition", || {
        second.poll();
        match first.poll() {
            Polled::Revoked { partitions, .. } => Some(partitions),
            _ => None,
        }
    });
    first.broker.release(&moving).unwrap();
    first.broker.release(&moving).unwrap();
    let taken = until("the second lane is given it", || {
        first.poll();
        match second.poll() {
            Polled::Assigned(partitions) => Some(partitions),
            _ => None,
        }
    });
    assert_eq!(taken, moving);
    second.broker.accept(&taken).unwrap();
    second.broker.accept(&taken).unwrap();
    second.broker.close().unwrap();
    first.broker.pause(false).unwrap();
    let back = first.assigned();
    assert_eq!(back, moving);
    first.broker.accept(&back).unwrap();

    for number in 0..2 {
        produce(&cluster.bootstrap_servers(), number, 0..3);
    }
    first.read(6);
}

#[test]
fn a_consumer_beyond_repair_says_so_at_every_poll() {
    let cluster = cluster(1);
    let mut settings = settings(&cluster, Guarantee::AtLeastOnce);
    settings.kafka.membership = Membership::Static;
    let mut lane = Lane::with_everything(&settings);
    cluster.request_errors(
        RDKafkaApiKey::Heartbeat,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID],
    );
    let mut told = 0;
    until("it is told three times", || {
        match lane.try_poll() {
            Ok(Polled::Revoked { partitions, .. }) => lane.broker.release(&partitions).unwrap(),
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.fault, Fault::ConsumerFenced, "{error}");
                assert!(error.to_string().contains("kafka.instance"), "{error}");
                told += 1;
            }
        }
        (told == 3).then_some(())
    });
}

#[test]
fn a_renewed_consumer_gives_up_everything_and_reads_on_from_what_is_committed() {
    let cluster = cluster(2);
    let settings = settings(&cluster, Guarantee::AtLeastOnce);
    let mut lane = Lane::with_everything(&settings);
    produce(&cluster.bootstrap_servers(), 0, 0..5);
    lane.read(5);
    lane.broker.store_offsets(&[(partition(0), 2)], true).unwrap();
    lane.broker.pause(true).unwrap();

    let lost = lane.broker.renew_consumer().unwrap();
    assert_eq!(lost, [partition(0), partition(1)]);
    let partitions = lane.assigned();
    assert_eq!(
        partitions, lost,
        "the old one has left the group, so nobody waits for it"
    );
    // The lane lets go of what was lost only now; that is no answer to what it was given meanwhile.
    lane.broker.release(&lost).unwrap();
    lane.broker.accept(&partitions).unwrap();
    lane.seen.clear();
    lane.read(3);
    assert_eq!(lane.offsets(), [2, 3, 4]);
    lane.broker.close().unwrap();
}

#[test]
fn a_consumer_is_renewed_while_the_brokers_are_away_and_joins_when_they_are_back() {
    let cluster = cluster(1);
    let mut lane = Lane::with_everything(&settings(&cluster, Guarantee::AtLeastOnce));
    assert_eq!(lane.broker.silence(), None);
    cluster.broker_down(-1).unwrap();
    until("the silence is noticed", || {
        if let Ok(Polled::Revoked { partitions, .. }) = lane.try_poll() {
            lane.broker.release(&partitions).unwrap();
        }
        lane.broker.silence()
    });
    lane.broker.renew_consumer().unwrap();
    let silence = until("the new one notices it too", || {
        lane.poll();
        lane.broker.silence()
    });
    assert_eq!(silence.brokers, cluster.bootstrap_servers());
    cluster.broker_up(-1).unwrap();
    let partitions = lane.assigned();
    lane.broker.accept(&partitions).unwrap();
    produce(&cluster.bootstrap_servers(), 0, 0..3);
    lane.read(3);
    until("the brokers are heard again", || {
        lane.poll();
        lane.broker.silence().is_none().then_some(())
    });
}

/// A client that waits for an answer does not join again. Where partitions begin cannot be committed by who is no member.
#[test]
fn partitions_are_had_again_when_the_membership_ends_before_they_are_taken() {
    let lost = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID;
    let cluster = cluster(1);
    // Once for the client that looks before the group is joined, and once for the lane itself.
    cluster.request_errors(RDKafkaApiKey::OffsetCommit, &[lost, lost]);
    let mut lane = Lane::open(&settings(&cluster, Guarantee::AtLeastOnce), 0);
    let mut assigned = Some(lane.assigned());
    cluster.request_errors(RDKafkaApiKey::Heartbeat, &[lost]);
    let refused = lane.broker.accept(assigned.as_ref().expect("it was just given"));
    assert_eq!(refused.map_err(|error| error.fault), Err(Fault::Retriable));
    let mut is_heard = false;
    until("the partition is had again", || {
        match lane.poll() {
            Polled::Revoked { partitions, lost } => {
                assert!(lost);
                is_heard = true;
                lane.broker.release(&partitions).expect("what is lost can be let go");
                assigned = None;
            }
            Polled::Assigned(partitions) => assigned = Some(partitions),
            Polled::Record | Polled::Idle => {}
        }
        let partitions = assigned.as_ref().filter(|_| is_heard)?;
        lane.broker.accept(partitions).ok()
    });
    produce(&cluster.bootstrap_servers(), 0, 0..1);
    lane.read(1);
}

#[test]
fn the_lane_that_leaves_makes_room() {
    let cluster = cluster(2);
    let settings = settings(&cluster, Guarantee::AtLeastOnce);
    let mut first = Lane::with_everything(&settings);
    first.broker.close().unwrap();
    drop(first);
    let mut second = Lane::open(&settings, 1);
    assert_eq!(second.assigned().len(), 2);
}

#[test]
fn a_header_name_that_is_not_utf_8_is_handed_over_readably() {
    let cluster = cluster(1);
    let headers = OwnedHeaders::new_with_capacity(20);
    let native = std::ptr::from_ref(headers.as_borrowed()).cast_mut().cast();
    for name in [&b"good"[..], b"b\xffd"].into_iter().chain([&b"more"[..]; 18]) {
        // SAFETY: the wrapper's headers are librdkafka's own, and the name and the value are as long as they say.
        #[allow(unsafe_code)]
        let added = unsafe {
            rdkafka::bindings::rd_kafka_header_add(
                native,
                name.as_ptr().cast(),
                name.len() as isize,
                b"v".as_ptr().cast(),
                1,
            )
        };
        assert_eq!(added, rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    let mut config = ClientConfig::new();
    let producer: BaseProducer = config
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .create()
        .unwrap();
    let record: BaseRecord<'_, str, str> = BaseRecord::to("events").partition(0).payload("1").headers(headers);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(DEADLINE).unwrap();

    let mut lane = Lane::with_everything(&settings(&cluster, Guarantee::AtLeastOnce));
    lane.read(1);
    let names: Vec<&str> = lane.seen[0].headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[..3], ["good", "b\u{fffd}d", "more"]);
    assert_eq!(names.len(), 20);
    assert!(
        lane.seen[0]
            .headers
            .iter()
            .all(|(_, value)| value.as_deref() == Some(b"v"))
    );
}
