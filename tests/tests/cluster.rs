//! The promises of the cluster harness, on which the tests of outages stand.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use eddy_tests::cluster::Cluster;
use eddy_tests::kafka::{Isolation, coordinating_partition};
use eddy_tests::service::wait_for;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const PATIENCE: Duration = Duration::from_secs(120);

/// A client of the proxied listeners.
fn proxied(cluster: &Cluster) -> ClientConfig {
    let mut config = cluster.client();
    config.set("bootstrap.servers", cluster.proxied());
    config
}

/// One transaction of ten records, in all partitions.
fn transaction(producer: &BaseProducer, topic: &str, first: usize) {
    producer.begin_transaction().expect("begin");
    for number in first..first + 10 {
        let value = number.to_string();
        let record = BaseRecord::<(), _>::to(topic)
            .partition(number as i32 % 3)
            .payload(&value);
        producer.send(record).map_err(|(error, _)| error).expect("send");
    }
    producer.commit_transaction(PATIENCE).expect("commit");
}

/// Reads on until as many different values were seen.
fn read_until(consumer: &BaseConsumer, seen: &mut BTreeSet<usize>, wanted: usize) {
    let deadline = Instant::now() + PATIENCE;
    while seen.len() < wanted {
        assert!(Instant::now() < deadline, "{} of {wanted} values came", seen.len());
        // Errors are those of the dead node; the client goes on by itself.
        if let Some(Ok(record)) = consumer.poll(Duration::from_millis(200)) {
            let value = str::from_utf8(record.payload().expect("value")).expect("text");
            assert!(seen.insert(value.parse().expect("number")), "{value} came twice");
        }
    }
}

#[test]
fn a_producer_and_a_consumer_go_on_through_the_proxies_when_a_node_dies_and_it_comes_back_whole() {
    let mut cluster = Cluster::start(3);
    cluster.create_topic("events", 3, &[]);
    let leaders: BTreeSet<_> = (0..3)
        .filter_map(|partition| cluster.leader("events", partition))
        .collect();
    assert_eq!(leaders, BTreeSet::from([0, 1, 2]), "every node leads a partition");

    let mut config = proxied(&cluster);
    let producer: BaseProducer = config.set("transactional.id", "writer").create().expect("producer");
    producer.init_transactions(PATIENCE).expect("init");
    let mut config = proxied(&cluster);
    config.set("group.id", "readers").set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = config
        .set("isolation.level", "read_committed")
        .create()
        .expect("consumer");
    consumer.subscribe(&["events"]).expect("subscribe");
    let mut seen = BTreeSet::new();
    transaction(&producer, "events", 0);
    read_until(&consumer, &mut seen, 10);

    // The worst choice: it coordinates the transactions.
    let victim = cluster.transaction_coordinator("writer").expect("a coordinator");
    cluster.kill(victim);
    assert!(!cluster.is_running(victim));
    for first in [10, 20, 30] {
        transaction(&producer, "events", first);
    }
    read_until(&consumer, &mut seen, 40);
    assert_ne!(cluster.transaction_coordinator("writer"), Some(victim));

    cluster.restart(victim);
    cluster.wait_until_whole();
    transaction(&producer, "events", 40);
    read_until(&consumer, &mut seen, 50);
    consumer.commit_consumer_state(CommitMode::Sync).expect("commit");
    assert_eq!(cluster.read_all("events", Isolation::ReadCommitted).len(), 50);
    // The last marker of each partition may be left: no record comes after it.
    assert!((0..=3).contains(&cluster.lag("readers", "events")));
    for node in 0..3 {
        let traffic = cluster.proxy(node).traffic();
        assert!(traffic.requests > 0 && traffic.answers > 0, "node {node}: {traffic:?}");
    }

    // Now the same clients with no node reachable, while the direct way stands.
    (0..3).for_each(|node| cluster.proxy(node).cut());
    producer.begin_transaction().expect("begin");
    let record = BaseRecord::<(), _>::to("events").partition(0).payload("50");
    producer.send(record).map_err(|(error, _)| error).expect("send");
    assert!(
        producer.flush(Duration::from_secs(2)).is_err(),
        "a cut proxy lets nothing through"
    );
    assert_eq!(cluster.read_all("events", Isolation::ReadUncommitted).len(), 50);
    (0..3).for_each(|node| cluster.proxy(node).pass());
    producer.commit_transaction(PATIENCE).expect("commit");
    read_until(&consumer, &mut seen, 51);
}

#[test]
fn coordinators_are_where_kafka_keeps_the_offsets_and_the_transactions() {
    let cluster = Cluster::start(1);
    cluster.create_topic("events", 1, &[]);
    for name in ["x/1", "group-of-some-length", "späte-Gruppe"] {
        let mut config = cluster.client();
        let consumer: BaseConsumer = config.set("group.id", name).create().expect("consumer");
        let mut offsets = rdkafka::TopicPartitionList::new();
        offsets
            .add_partition_offset("events", 0, rdkafka::Offset::Offset(7))
            .expect("offset");
        consumer.commit(&offsets, CommitMode::Sync).expect("commit");
        let mut config = cluster.client();
        let producer: BaseProducer = config.set("transactional.id", name).create().expect("producer");
        producer.init_transactions(PATIENCE).expect("init");
        for topic in ["__consumer_offsets", "__transaction_state"] {
            let records = cluster.read_all(topic, Isolation::ReadUncommitted);
            let own = records.iter().filter(|record| {
                let key = record.key.as_deref().expect("key");
                key.windows(name.len()).any(|part| part == name.as_bytes())
            });
            let partitions: BTreeSet<_> = own.map(|record| record.partition).collect();
            assert_eq!(
                partitions,
                BTreeSet::from([coordinating_partition(name)]),
                "{name} in {topic}"
            );
        }
    }
    assert_eq!(cluster.group_coordinator("x/1"), Some(0));
}

#[test]
fn without_a_majority_nothing_is_acknowledged_and_a_node_that_is_frozen_or_stopped_comes_back() {
    let mut cluster = Cluster::start(3);
    cluster.create_topic("events", 1, &[]);
    let leader = cluster.leader("events", 0).expect("a leader");
    let others: Vec<usize> = (0..3).filter(|node| *node != leader).collect();
    let producer: BaseProducer = cluster.client().set("acks", "all").create().expect("producer");
    let send = |value: &str| {
        let record = BaseRecord::<(), _>::to("events").partition(0).payload(value);
        producer.send(record).map_err(|(error, _)| error).expect("send");
    };
    send("1");
    producer.flush(PATIENCE).expect("three nodes acknowledge");

    cluster.stop(others[0]);
    cluster.kill(others[1]);
    assert!(cluster.is_running(others[0]) && !cluster.is_running(others[1]));
    send("2");
    // Longer than a session of a broker, so that the leader knows that it is alone.
    assert!(
        producer.flush(Duration::from_secs(15)).is_err(),
        "one node acknowledged alone"
    );
    cluster.cont(others[0]);
    producer.flush(PATIENCE).expect("two nodes acknowledge");

    // As if it had ended by itself.
    cluster.wait_until_whole();
    assert!(cluster.is_running(others[1]), "a node that is missing is started again");
    cluster.shutdown(leader);
    wait_for("another leader", || {
        cluster.leader("events", 0).filter(|found| *found != leader)
    });
    cluster.restart(leader);
    cluster.wait_until_whole();
    assert_eq!(cluster.read_all("events", Isolation::ReadCommitted).len(), 2);
}
