//! The chart, rendered by Helm and judged by Kubernetes' own schemas.

use std::process::{Command, Output};

use eddy_tests::rules::{files, passes, root};
use serde_json::{Value, json};

use super::{judged, manifests};

/// The oldest Kubernetes that the chart is for, and the newest that the schemas know.
const OLDEST: &str = "1.27";
const NEWEST: &str = "1.37";

/// Values that switch everything on; a volume of models may be an image only on a newer Kubernetes.
fn everything(version: &str) -> Value {
    let volume = match version {
        OLDEST => json!({"persistentVolumeClaim": {"claimName": "models", "readOnly": true}}),
        _ => json!({"image": {"reference": "models/fraud:7"}}),
    };
    json!({
        "replicas": 3,
        "pipeline": {"file": "format = 2\nname = \"fraud\" # <{{ not Helm's }}>\n", "policy": "format = 1\n"},
        "models": {"volume": volume},
        "kafka": {"brokers": "kafka-0:9092,kafka-1:9092"},
        "settings": {"KAFKA__LANES": "2"},
        "secrets": [{"secretName": "kafka", "mountPath": "/run/secrets/kafka"}],
        "env": [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "registry", "key": "password"}}}],
        "drain": {"deadlineSeconds": 45, "lastScrapeSeconds": 20},
        "gpu": {"enabled": true, "runtimeClassName": "nvidia"},
        "serviceAccount": {"annotations": {"a": "b"}},
        "networkPolicy": {
            "ingressFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
            "egress": [{"ports": [{"port": 9092}]}],
        },
        "podMonitor": {"enabled": true, "relabelings": [{"targetLabel": "cluster", "replacement": "eu"}]},
        "prometheusRule": {"enabled": true, "labels": {"release": "prometheus"}},
        "dashboards": {"enabled": true, "annotations": {"grafana_folder": "Eddy"}},
        "keda": {"enabled": true, "group": "eddy-fraud", "topic": "payments", "authentication": "kafka"},
        "podAnnotations": {"a": "b"},
        "podLabels": {"team": "fraud"},
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}},
        ],
        "priorityClassName": "high",
        "extraVolumes": [{"name": "more", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        "initContainers": [{"name": "fetch", "image": "fetch:1"}],
        "imagePullSecrets": [{"name": "registry"}],
    })
}

fn helm(words: &[&str], values: &Value) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("values.yaml");
    // JSON is YAML.
    std::fs::write(&file, values.to_string()).expect("the folder takes a file");
    let chart = root().join("docker/helm/eddy");
    let mut command = Command::new(manifests("helm"));
    command.args(words).arg(chart).arg("--values").arg(file);
    command.output().expect("Helm runs")
}

fn rendered(version: &str, values: &Value) -> String {
    let output = helm(&["template", "release", "--kube-version", version], values);
    passes(&output);
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn by_kubernetes(version: &str, text: &str) -> Result<Vec<Value>, String> {
    let definitions = [
        "keda.sh_scaledobjects",
        "monitoring.coreos.com_podmonitors",
        "monitoring.coreos.com_prometheusrules",
    ];
    let definitions = definitions.map(|name| manifests(&format!("crds/{name}.yaml")).display().to_string());
    let words: Vec<&str> = ["manifests", version]
        .into_iter()
        .chain(definitions.iter().map(String::as_str))
        .collect();
    judged(&words, text).map(|documents| documents.as_array().expect("a list").clone())
}

/// The objects of a release with these values.
#[track_caller]
fn objects(version: &str, values: &Value) -> Vec<Value> {
    by_kubernetes(version, &rendered(version, values)).unwrap_or_else(|faults| panic!("{faults}"))
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

fn pod(objects: &[Value]) -> &Value {
    &of_kind(objects, "StatefulSet")[0]["spec"]["template"]["spec"]
}

fn setting<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let all = pod["containers"][0]["env"].as_array().expect("variables");
    all.iter()
        .find(|variable| variable["name"] == name)
        .unwrap_or_else(|| panic!("no {name} in {all:?}"))
}

#[test]
fn whatever_is_switched_on_the_chart_gives_objects_that_the_oldest_and_the_newest_kubernetes_take() {
    for version in [OLDEST, NEWEST] {
        let few = objects(version, &json!({}));
        for kind in [
            "StatefulSet",
            "Service",
            "ServiceAccount",
            "PodDisruptionBudget",
            "NetworkPolicy",
        ] {
            assert_eq!(of_kind(&few, kind).len(), 1, "{kind}");
        }
        let all = objects(version, &everything(version));
        for kind in ["PodMonitor", "ScaledObject", "PrometheusRule", "ConfigMap"] {
            assert!(of_kind(&few, kind).is_empty(), "{kind} is for those who ask for it");
            assert!(!of_kind(&all, kind).is_empty(), "{kind}");
        }
    }
    passes(&helm(&["lint", "--strict"], &everything(NEWEST)));
}

#[test]
fn a_misspelt_member_of_an_object_would_be_found() {
    let text = rendered(NEWEST, &everything(NEWEST));
    for (right, wrong, kind) in [
        ("readOnlyRootFilesystem", "readonlyRootFilesystem", "StatefulSet"),
        ("podMetricsEndpoints", "podMetricEndpoints", "PodMonitor"),
        ("minReplicaCount", "minReplicasCount", "ScaledObject"),
    ] {
        let faults = by_kubernetes(NEWEST, &text.replace(right, wrong)).expect_err("it is misspelt");
        assert!(faults.contains(kind) && faults.contains(wrong), "{faults}");
    }
}

#[test]
fn a_value_that_the_chart_does_not_know_is_refused_and_so_are_values_that_contradict_each_other() {
    for (values, complaint) in [
        (json!({"replica": 3}), "replica"),
        (json!({"drain": {"deadline": 3}}), "deadline"),
        (json!({"settings": {"kafka.lanes": "2"}}), "kafka.lanes"),
        (json!({"image": {"digest": "abc"}}), "digest"),
        (
            json!({"pipeline": {"file": "a", "existingConfigMap": "b"}}),
            "only one of them",
        ),
        (json!({"pipeline": {"policy": "a"}}), "pipeline.file"),
        (json!({"keda": {"enabled": true}}), "keda.group"),
        (
            json!({"keda": {"enabled": true, "group": "a"}, "kafka": {"brokers": "b:9092"}}),
            "keda.topic",
        ),
        (
            json!({"keda": {"enabled": true, "triggers": [{}], "minReplicas": 3, "maxReplicas": 2}}),
            "keda.minReplicas",
        ),
        (json!({"keda": {"minReplicas": 0}}), "minReplicas"),
        (json!({"drain": {"lastScrapeSeconds": 301}}), "lastScrapeSeconds"),
    ] {
        refuses(&values, complaint);
    }
}

#[track_caller]
fn refuses(values: &Value, complaint: &str) {
    let output = helm(&["template", "release"], values);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(complaint), "{values}: {said}");
}

#[test]
fn what_the_chart_sets_itself_is_refused_elsewhere_with_the_value_to_write_in_its_place() {
    for (name, value) in [
        ("KAFKA__INSTANCE", "the name of the pod"),
        ("KAFKA__BROKERS", "kafka.brokers"),
        ("ADMIN__ADDRESS", "admin.address"),
        ("DRAIN__DEADLINE", "drain.deadlineSeconds"),
        ("DRAIN__LAST_SCRAPE", "drain.lastScrapeSeconds"),
    ] {
        let sets = format!("the chart sets it itself, from {value}");
        refuses(&json!({"settings": {name: "a"}}), &format!("settings.{name}: {sets}"));
        for name in [name.to_owned(), name.to_lowercase(), name.replace("T_S", "t-S")] {
            let variable = format!("EDDY__{name}");
            let env = json!([{"name": "OTHER", "value": "a"}, {"name": variable, "value": "a"}]);
            refuses(&json!({ "env": env }), &format!("{variable} in env: {sets}"));
        }
    }
}

#[test]
fn however_a_pipeline_file_writes_that_the_admin_address_speaks_tls_the_chart_has_to_be_told_and_only_then() {
    let file = |text: &str, tls: bool| json!({"pipeline": {"file": text}, "admin": {"tls": tls}});
    let tell = "so probes have to speak HTTPS: admin.tls: true";
    for text in [
        "[admin]\n [admin.tls] # HTTPS\n",
        "name = \"a\"\n[ admin . \"tls\" ]\r\ncertificate = \"a\"\n",
        "[admin.tls.key]\nfile = \"a\"\n",
        "[admin]\ntls = { certificate = \"a\" }\n",
        "[kafka]\nlanes = 2\n\n[admin]\r\naddress = \"0.0.0.0:9180\"\r\n\r\n# HTTPS\r\n  tls.certificate = \"a\"\r\n",
        "admin.tls.certificate = \"a\"\n",
        "admin.tls = { certificate = \"a\" }\n",
        "admin = { address = \"0.0.0.0:9180\", tls = { certificate = \"a\" } }\n",
        "admin = {tls.certificate = \"a\"}\n",
    ] {
        refuses(&file(text, false), tell);
        rendered(NEWEST, &file(text, true));
    }
    let none = "pipeline.file has no [admin.tls]";
    for text in [
        "# [admin.tls]\n",
        "[kafka.tls]\nca = \"a\"\n[admin]\nattempts = 5\n",
        "[admin]\naddress = \"0.0.0.0:9180\" # tls = none\n# tls = {}\n[registry]\ntls = {}\n",
        "[registry]\ntls = {}\n[admin]\naddress = \"0.0.0.0:9180\"\n",
    ] {
        rendered(NEWEST, &file(text, false));
        refuses(&file(text, true), none);
    }

    let name = "ADMIN__TLS__CERTIFICATE";
    for (mut values, place) in [
        (json!({"settings": {name: "/a"}}), format!("settings.{name}")),
        (
            json!({"env": [{"name": format!("EDDY__{name}"), "value": "/a"}]}),
            format!("EDDY__{name} in env"),
        ),
    ] {
        refuses(&values, &format!("{place} is of [admin.tls], {tell}"));
        values["pipeline"] = json!({"file": "name = \"a\"\n"});
        values["admin"] = json!({"tls": true});
        rendered(NEWEST, &values);
    }
    // What the chart does not see is not judged.
    rendered(
        NEWEST,
        &json!({"pipeline": {"existingConfigMap": "a"}, "admin": {"tls": true}}),
    );
}

#[test]
fn a_replica_is_granted_more_time_than_its_drain_may_take() {
    for values in [json!({}), everything(NEWEST)] {
        let objects = objects(NEWEST, &values);
        let pod = pod(&objects);
        let seconds = |name| -> u64 {
            let text = setting(pod, name)["value"].as_str().expect("a text");
            text.trim_end_matches('s').parse().expect("seconds")
        };
        let granted = pod["terminationGracePeriodSeconds"].as_u64().expect("seconds");
        assert!(granted > seconds("EDDY__DRAIN__DEADLINE") + seconds("EDDY__DRAIN__LAST_SCRAPE"));
    }
}

#[test]
fn an_instance_is_called_as_its_pod_is_which_stays_the_same() {
    let objects = objects(NEWEST, &json!({}));
    let from = &setting(pod(&objects), "EDDY__KAFKA__INSTANCE")["valueFrom"];
    assert_eq!(*from, json!({"fieldRef": {"fieldPath": "metadata.name"}}));
    let set = of_kind(&objects, "StatefulSet")[0];
    let service = of_kind(&objects, "Service")[0];
    assert_eq!(set["spec"]["serviceName"], service["metadata"]["name"]);
}

#[test]
fn no_container_may_become_root_write_to_its_image_or_keep_a_capability_or_a_token_of_the_cluster() {
    let objects = objects(NEWEST, &json!({}));
    let pods = [pod(&objects), &of_kind(&objects, "Pod")[0]["spec"]];
    for pod in pods {
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        let own = &pod["containers"][0]["securityContext"];
        assert_eq!(own["readOnlyRootFilesystem"], true);
        assert_eq!(own["allowPrivilegeEscalation"], false);
        assert_eq!(own["capabilities"], json!({"drop": ["ALL"]}));
    }
}

#[test]
fn what_kubernetes_and_prometheus_ask_are_pages_of_the_port_that_the_service_listens_on() {
    let objects = objects(NEWEST, &everything(NEWEST));
    let pod = pod(&objects);
    let container = &pod["containers"][0];
    for (probe, path) in [
        ("startupProbe", "/live"),
        ("livenessProbe", "/live"),
        ("readinessProbe", "/ready"),
    ] {
        let asked = json!({"path": path, "port": "admin", "scheme": "HTTP"});
        assert_eq!(container[probe]["httpGet"], asked);
    }
    let port = &container["ports"][0];
    assert_eq!(*port, json!({"name": "admin", "containerPort": 9180}));
    assert_eq!(setting(pod, "EDDY__ADMIN__ADDRESS")["value"], "0.0.0.0:9180");
    let endpoint = &of_kind(&objects, "PodMonitor")[0]["spec"]["podMetricsEndpoints"][0];
    assert_eq!(
        (&endpoint["port"], &endpoint["path"]),
        (&json!("admin"), &json!("/metrics"))
    );
}

/// What `helm test` asks with, and where it asks.
fn asked_by_the_test(objects: &[Value]) -> (Vec<&str>, &Value) {
    let pod = &of_kind(objects, "Pod")[0]["spec"];
    let words = pod["containers"][0]["args"].as_array().expect("a command");
    (words.iter().filter_map(Value::as_str).collect(), pod)
}

#[test]
fn where_the_admin_address_speaks_tls_so_do_all_who_ask_it() {
    let mut values = everything(NEWEST);
    let plain = objects(NEWEST, &values);
    let endpoint = |objects: &[Value]| of_kind(objects, "PodMonitor")[0]["spec"]["podMetricsEndpoints"][0].clone();
    assert!(endpoint(&plain).get("tlsConfig").is_none());
    let (words, _) = asked_by_the_test(&plain);
    assert!(
        words.contains(&"--admin=http://release-eddy-0.release-eddy:9180"),
        "{words:?}"
    );

    values["pipeline"]["file"] = "[admin.tls]\ncertificate = \"tls.crt\"\n".into();
    values["admin"] = json!({"tls": true});
    let encrypted = objects(NEWEST, &values);
    let container = &pod(&encrypted)["containers"][0];
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["scheme"], "HTTPS", "{probe}");
    }
    let scraped = endpoint(&encrypted);
    assert_eq!(
        (&scraped["scheme"], &scraped["tlsConfig"]),
        (&json!("https"), &json!({"insecureSkipVerify": true}))
    );
    let (words, _) = asked_by_the_test(&encrypted);
    assert!(
        words.contains(&"--admin=https://release-eddy-0.release-eddy:9180"),
        "{words:?}"
    );

    let trust = json!({"serverName": "eddy", "ca": {"secret": {"name": "eddy-tls", "key": "ca.crt"}}});
    values["podMonitor"]["tlsConfig"] = trust.clone();
    values["admin"]["caSecret"] = "eddy-tls".into();
    let trusting = objects(NEWEST, &values);
    assert_eq!(endpoint(&trusting)["tlsConfig"], trust);
    let (words, pod) = asked_by_the_test(&trusting);
    let mounted = pod["containers"][0]["volumeMounts"][0]["mountPath"]
        .as_str()
        .expect("a path");
    assert!(words.contains(&format!("--ca={mounted}/ca.crt").as_str()), "{words:?}");
    assert_eq!(pod["volumes"][0]["secret"]["secretName"], "eddy-tls");
}

#[test]
fn the_pipeline_file_arrives_as_it_was_written_and_a_change_of_it_restarts_the_replicas() {
    let checksum = |values: &Value| {
        let objects = objects(NEWEST, values);
        let set = of_kind(&objects, "StatefulSet")[0];
        set["spec"]["template"]["metadata"]["annotations"]["checksum/pipeline"].clone()
    };
    let mut values = everything(NEWEST);
    let file = values["pipeline"]["file"].clone();
    let objects = objects(NEWEST, &values);
    let maps = of_kind(&objects, "ConfigMap");
    let data = maps.iter().find(|map| map["data"]["pipeline.toml"].is_string());
    assert_eq!(data.expect("a map")["data"]["pipeline.toml"], file);

    let before = checksum(&values);
    values["pipeline"]["policy"] = "format = 1 # a change that is taken up as it runs".into();
    assert_eq!(checksum(&values), before);
    values["pipeline"]["file"] = "name = \"other\"".into();
    assert_ne!(checksum(&values), before);
}

#[test]
fn where_keda_decides_how_many_replicas_there_are_the_chart_does_not() {
    let objects = objects(NEWEST, &everything(NEWEST));
    assert!(of_kind(&objects, "StatefulSet")[0]["spec"].get("replicas").is_none());
    let trigger = &of_kind(&objects, "ScaledObject")[0]["spec"]["triggers"][0];
    assert_eq!(trigger["metadata"]["consumerGroup"], "eddy-fraud");
    assert_eq!(trigger["metadata"]["bootstrapServers"], "kafka-0:9092,kafka-1:9092");
    assert_eq!(trigger["metadata"]["topic"], "payments");
    assert_eq!(trigger["authenticationRef"]["name"], "kafka");
}

#[test]
fn keda_may_ask_other_brokers_than_the_replicas_do() {
    let mut values = everything(NEWEST);
    values["keda"]["brokers"] = "kafka.streams:9092".into();
    let objects = objects(NEWEST, &values);
    let trigger = &of_kind(&objects, "ScaledObject")[0]["spec"]["triggers"][0];
    assert_eq!(trigger["metadata"]["bootstrapServers"], "kafka.streams:9092");
    let brokers = setting(pod(&objects), "EDDY__KAFKA__BROKERS");
    assert_eq!(brokers["value"], "kafka-0:9092,kafka-1:9092");
}

#[test]
fn without_a_replica_there_is_no_test_of_one() {
    for (values, tests) in [
        (json!({"replicas": 2}), 1),
        (json!({"replicas": 0}), 0),
        (
            json!({"keda": {"enabled": true, "triggers": [{"type": "cpu", "metadata": {}}], "minReplicas": 3}}),
            1,
        ),
    ] {
        assert_eq!(of_kind(&objects(NEWEST, &values), "Pod").len(), tests, "{values}");
    }
}

#[test]
fn the_test_runs_where_replicas_do_and_is_let_in_whoever_else_is() {
    let mut values = everything(NEWEST);
    // Its label may be no longer than 63 letters.
    values["nameOverride"] = "n".repeat(63).into();
    let objects = objects(NEWEST, &values);
    let test = of_kind(&objects, "Pod")[0];
    for key in ["nodeSelector", "tolerations"] {
        assert_eq!(test["spec"][key], values[key], "{key}");
    }
    let own = &test["metadata"]["labels"];
    let name = own["app.kubernetes.io/name"].as_str().expect("a label");
    assert!(name.len() <= 63 && name.ends_with("-test"), "{name}");
    let peers = &of_kind(&objects, "NetworkPolicy")[0]["spec"]["ingress"][0]["from"];
    let peers: Vec<_> = peers.as_array().expect("peers").iter().collect();
    assert_eq!(peers[0], &values["networkPolicy"]["ingressFrom"][0]);
    assert_eq!(peers[1], &json!({"podSelector": {"matchLabels": own}}));
}

#[test]
fn the_pipeline_file_is_called_as_its_path_says() {
    let values = json!({"pipeline": {"file": "a", "path": "/etc/eddy/fraud.toml"}});
    let objects = objects(NEWEST, &values);
    assert_eq!(of_kind(&objects, "ConfigMap")[0]["data"], json!({"fraud.toml": "a"}));
    let container = &pod(&objects)["containers"][0];
    assert_eq!(container["args"], json!(["run", "/etc/eddy/fraud.toml"]));
    assert_eq!(container["volumeMounts"][0]["mountPath"], "/etc/eddy");
}

#[test]
fn without_resources_of_its_own_a_replica_on_a_gpu_asks_for_that_alone() {
    let objects = objects(NEWEST, &json!({"resources": null, "gpu": {"enabled": true}}));
    let asked = &pod(&objects)["containers"][0]["resources"];
    assert_eq!(*asked, json!({"limits": {"nvidia.com/gpu": 1}}));
}

/// A package, unpacked.
fn packaged() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut helm = Command::new(manifests("helm"));
    helm.arg("package")
        .arg(root().join("docker/helm/eddy"))
        .arg("--destination")
        .arg(folder.path());
    passes(&helm.output().expect("Helm runs"));
    let script = r#"tar -xzf "$0"/*.tgz -C "$0""#;
    let unpacked = Command::new("sh").args(["-c", script]).arg(folder.path()).output();
    passes(&unpacked.expect("sh runs"));
    folder
}

#[test]
fn the_packaged_chart_has_the_rules_and_the_dashboards_that_the_project_has() {
    let folder = packaged();
    let packaged = |path: &str| std::fs::read(folder.path().join("eddy/files").join(path)).expect(path);
    for file in files() {
        let name = file.rsplit('/').next().expect("a name");
        assert_eq!(
            packaged(&format!("rules/{name}")),
            std::fs::read(&file).expect("a file"),
            "{name}"
        );
    }

    let objects = objects(NEWEST, &everything(NEWEST));
    let alerts = of_kind(&objects, "PrometheusRule").len();
    assert_eq!(alerts, files().len());
    for board in ["drift", "operations", "overview", "samples"] {
        let file = root().join(format!("dashboards/grafana/{board}.json"));
        let text = std::fs::read_to_string(&file).expect("the dashboard is there");
        let key = format!("eddy-{board}.json");
        let maps = of_kind(&objects, "ConfigMap");
        let map = maps.iter().find(|map| map["data"].get(&key).is_some()).expect("a map");
        assert_eq!(map["data"][&key], text, "{board}");
        assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    }
}

#[test]
fn alerts_lead_to_the_runbooks_where_they_are_kept() {
    let at = "https://docs.example.org/runbooks.md";
    let values = json!({"prometheusRule": {"enabled": true, "runbooks": at}});
    let text = rendered(NEWEST, &values);
    let told: Vec<_> = text.lines().filter(|line| line.contains(" runbook: ")).collect();
    let leads = |line: &&str| line.contains(&format!(" {at}#"));
    assert!(!told.is_empty() && told.iter().all(leads), "{told:?}");
}
