//! The librdkafka configuration of the consumer and the producer.
//!
//! Owns: which properties Eddy sets and why. Never does: create a client.
//!
//! Invariant: three layers, in this order: what we recommend, what the file hands through, what the guarantees need.

use rdkafka::ClientConfig;

use super::{Guarantee, Kafka, Mechanism, Membership, Properties, Settings, Start, Tls};

impl Settings {
    /// A client that only asks for metadata.
    ///
    /// # Errors
    /// When a secret cannot be read; one sentence.
    pub(crate) fn metadata_config(&self) -> Result<ClientConfig, String> {
        let mut config = ClientConfig::new();
        config
            .set("client.id", format!("eddy-{}-check", self.pipeline))
            .set("group.id", self.group());
        hand_through(&self.kafka.properties, &mut config);
        config.set("allow.auto.create.topics", "false");
        self.kafka.connect(&mut config)?;
        Ok(config)
    }

    /// The consumer of a lane.
    ///
    /// # Errors
    /// When a secret cannot be read; one sentence.
    pub(crate) fn consumer_config(&self, lane: u16) -> Result<ClientConfig, String> {
        let mut config = ClientConfig::new();
        config
            .set("client.id", self.client_id(lane))
            .set("statistics.interval.ms", "5000")
            // New partitions are found within a minute.
            .set("topic.metadata.refresh.interval.ms", "60000")
            .set("queued.min.messages", "20000")
            .set("queued.max.messages.kbytes", "32768")
            // The default stalls fetching for a second after the queue was full.
            .set("fetch.queue.backoff.ms", "20")
            .set("fetch.wait.max.ms", "100")
            .set("auto.commit.interval.ms", "1000");
        hand_through(&self.kafka.properties, &mut config);
        hand_through(&self.kafka.consumer, &mut config);

        let exactly_once = self.kafka.guarantee == Guarantee::ExactlyOnce;
        let start = match self.kafka.start {
            // An offset that is out of range was right once: what is after it is not skipped.
            Start::Earliest | Start::At(_) => "earliest",
            Start::Latest => "latest",
            Start::Error => "error",
        };
        config
            .set("group.id", self.group())
            // The newer protocol rejects transactions whenever the member epoch is a little behind.
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", self.kafka.session_timeout().as_ms().to_string())
            .set(
                "max.poll.interval.ms",
                self.kafka.max_poll_interval().as_ms().to_string(),
            )
            .set("auto.offset.reset", start)
            .set("enable.auto.commit", if exactly_once { "false" } else { "true" })
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true")
            .set("enable.partition.eof", "false")
            .set("allow.auto.create.topics", "false");
        if !self.kafka.sets("heartbeat.interval.ms") {
            // A member without partitions hears nothing else, and silence is how an outage is noticed.
            let heartbeat_ms = (self.kafka.session_timeout().as_ms() / 5).min(3000);
            config.set("heartbeat.interval.ms", heartbeat_ms.to_string());
        }
        if self.topics.events.matching().is_some() {
            // Whatever the pattern says to the client's own engine: never an output, never a topic of Kafka's own.
            let known = config
                .get("topic.blacklist")
                .map_or_else(String::new, |known| format!("{known},"));
            let outputs = self
                .topics
                .outputs()
                .map(|(_, name)| format!("^{}$", name.replace('.', "\\.")));
            config.set("topic.blacklist", format!("{known}^__.*,{}", outputs.join(",")));
        }
        if self.kafka.membership == Membership::Static {
            config.set("group.instance.id", format!("{}-{lane}", self.instance()));
        }
        self.kafka.connect(&mut config)?;
        Ok(config)
    }

    /// A consumer that is no member of any group and commits nothing.
    ///
    /// # Errors
    /// When a secret cannot be read; one sentence.
    pub(crate) fn reader_config(&self) -> Result<ClientConfig, String> {
        let mut config = self.consumer_config(0)?;
        config
            .set("client.id", format!("eddy-{}-reader", self.pipeline))
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            // The last offsets may be markers or aborted records, which never come: only this says that they were passed.
            .set("enable.partition.eof", "true");
        config.remove("group.instance.id");
        Ok(config)
    }

    /// The producer of a lane.
    ///
    /// # Errors
    /// When a secret cannot be read; one sentence.
    pub(crate) fn producer_config(&self, lane: u16) -> Result<ClientConfig, String> {
        let max_output_bytes = self.kafka.max_output_bytes.0;
        let mut config = ClientConfig::new();
        config
            .set("client.id", self.client_id(lane))
            .set("statistics.interval.ms", "30000")
            .set("queue.buffering.max.kbytes", "65536")
            .set("queue.buffering.max.messages", "100000")
            // A topic refuses a request as a whole: one that is larger than the largest output would blame them all.
            .set("batch.size", max_output_bytes.min(1_000_000).to_string());
        hand_through(&self.kafka.properties, &mut config);
        hand_through(&self.kafka.producer, &mut config);

        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", self.kafka.linger.as_ms().to_string())
            .set("compression.type", self.kafka.compression().as_str())
            .set("message.max.bytes", max_output_bytes.to_string())
            .set("allow.auto.create.topics", "false")
            .set("delivery.report.only.error", "false");
        if self.kafka.guarantee == Guarantee::ExactlyOnce {
            config.set("transactional.id", self.transactional_id(lane)).set(
                "transaction.timeout.ms",
                self.kafka.transaction_timeout.as_ms().to_string(),
            );
        }
        self.kafka.connect(&mut config)?;
        Ok(config)
    }

    fn client_id(&self, lane: u16) -> String {
        format!("eddy-{}-{}-{lane}", self.pipeline, self.instance())
    }
}

impl Kafka {
    fn sets(&self, property: &str) -> bool {
        self.properties.contains_key(property) || self.consumer.contains_key(property)
    }

    fn connect(&self, config: &mut ClientConfig) -> Result<(), String> {
        config.set("bootstrap.servers", self.addresses().collect::<Vec<_>>().join(","));
        let protocol = match (&self.tls, &self.sasl) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some(tls) = &self.tls {
            encrypt(tls, config)?;
        }
        let Some(sasl) = &self.sasl else { return Ok(()) };
        config.set("sasl.mechanism", sasl.mechanism().as_str());
        if let Some(username) = &sasl.username {
            config.set("sasl.username", username);
        }
        if let Some(password) = &sasl.password {
            config.set("sasl.password", password.reveal()?.as_str());
        }
        if sasl.mechanism() == Mechanism::OauthBearer {
            config.set("enable.sasl.oauthbearer.unsecure.jwt", "false");
        }
        Ok(())
    }
}

fn encrypt(tls: &Tls, config: &mut ClientConfig) -> Result<(), String> {
    config
        .set("enable.ssl.certificate.verification", "true")
        .set("ssl.endpoint.identification.algorithm", "https");
    let trusted = Some(tls.trusted("kafka.tls")?);
    let files = [
        ("ssl.ca.location", &trusted),
        ("ssl.certificate.location", &tls.certificate),
        ("ssl.key.location", &tls.key),
    ];
    for (property, path) in files {
        if let Some(path) = path {
            let path = path
                .to_str()
                .ok_or_else(|| format!("`{}` is not UTF-8; rename it", path.display()))?;
            config.set(property, path);
        }
    }
    if let Some(password) = &tls.key_password {
        config.set("ssl.key.password", password.reveal()?.as_str());
    }
    Ok(())
}

fn hand_through(properties: &Properties, config: &mut ClientConfig) {
    for (name, value) in properties {
        config.set(name, value.to_string());
    }
}
