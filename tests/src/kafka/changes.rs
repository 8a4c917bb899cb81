//! Topics, and rights on them, that change under a running service.

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;

use super::Topics;
use super::process::{distribution, java_command};
use super::wait::{DEADLINE, block_on, eventually};

impl Topics {
    /// Gives a topic these settings and takes away all others.
    pub fn configure_topic(&self, name: &str, configs: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("admin client");
        let config = AlterConfig::new(ResourceSpecifier::Topic(name));
        let config = configs
            .iter()
            .fold(config, |config, (key, value)| config.set(key, value));
        let results = block_on(admin.alter_configs([&config], &options())).expect("alter the settings of a topic");
        for result in results {
            result.unwrap_or_else(|(topic, code)| panic!("{topic:?} was not changed: {code}"));
        }
    }

    /// Raises a topic to so many partitions.
    pub fn raise_partitions(&self, name: &str, to: usize) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("admin client");
        let wanted = NewPartitions::new(name, to);
        let results =
            block_on(admin.create_partitions([&wanted], &options())).expect("raise the partitions of a topic");
        for result in results {
            result.unwrap_or_else(|(topic, code)| panic!("topic {topic} was not raised: {code}"));
        }
    }

    /// Deletes a topic and returns when the broker knows it no more.
    pub fn delete_topic(&self, name: &str) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("admin client");
        let results = block_on(admin.delete_topics(&[name], &options())).expect("delete a topic");
        for result in results {
            result.unwrap_or_else(|(topic, code)| panic!("topic {topic} was not deleted: {code}"));
        }
        eventually(&format!("topic {name} is gone"), || {
            let metadata = admin
                .inner()
                .fetch_metadata(None, DEADLINE)
                .map_err(|e| e.to_string())?;
            match metadata.topics().iter().any(|topic| topic.name() == name) {
                true => Err("it is still there".to_owned()),
                false => Ok(()),
            }
        });
    }
}

impl Topics {
    /// Forbids everybody to write to a topic, or allows it again. Wants a broker with an authorizer.
    pub fn forbid_writing(&self, topic: &str, forbidden: bool) {
        let how = if forbidden {
            &["--add"][..]
        } else {
            &["--remove", "--force"]
        };
        let bootstrap = self.bootstrap();
        let mut command = java_command(distribution());
        command
            .arg("org.apache.kafka.tools.AclCommand")
            .args(["--bootstrap-server", &bootstrap]);
        command
            .args(how)
            .args(["--deny-principal", "User:*", "--operation", "Write", "--topic", topic]);
        let output = command.output().expect("java runs, as the broker does");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "the right to write to {topic} was not changed: {said}"
        );
    }
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(DEADLINE))
        .operation_timeout(Some(DEADLINE))
}
