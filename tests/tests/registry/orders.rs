//! The same orders of a shop in each registry format, with an earlier and a later schema.

use openssl::base64::encode_block;
use serde_json::{Value, json};

/// An event of a shop, with most of what Avro has.
const FIRST: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[
    {"name":"id","type":"string"},
    {"name":"features","type":{"type":"array","items":"double"}},
    {"name":"customer","type":["null",{"type":"record","name":"Customer","fields":[
        {"name":"name","type":"string"},
        {"name":"tier","type":{"type":"enum","name":"Tier","symbols":["GOLD","SILVER"]}},
        {"name":"limit","type":["null","double","string"]}]}]},
    {"name":"tags","type":{"type":"map","values":["null","long"]}},
    {"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"day","type":{"type":"int","logicalType":"date"}},
    {"name":"raw","type":"bytes"},
    {"name":"note","type":["null","string"],"default":null}]}"#;

/// The same later: a member is new and stands first, one is gone, one has another type.
const SECOND: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[
    {"name":"region","type":["null","string"],"default":null},
    {"name":"id","type":"string"},
    {"name":"features","type":{"type":"array","items":"float"}},
    {"name":"customer","type":["null",{"type":"record","name":"Customer","fields":[
        {"name":"name","type":"string"},
        {"name":"tier","type":{"type":"enum","name":"Tier","symbols":["GOLD","SILVER","BRONZE"]}},
        {"name":"limit","type":["null","double","string"]}]}]},
    {"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"day","type":{"type":"int","logicalType":"date"}},
    {"name":"raw","type":"bytes"},
    {"name":"note","type":["null","string"],"default":null}]}"#;

pub(crate) const PASSED: [&str; 8] = ["customer", "tags", "amount", "at", "day", "raw", "note", "region"];

/// A format with its schemas, the earlier and the later one, as the reference's script takes them.
pub(crate) struct Language {
    pub(crate) format: &'static str,
    pub(crate) schemas: [Value; 2],
    /// The event of a number; whether it is of the later schema.
    pub(crate) event: fn(usize, bool) -> Value,
}

pub(crate) fn avro_orders() -> Language {
    Language {
        format: "avro",
        schemas: [FIRST, SECOND].map(|schema| json!({ "format": "avro", "schema": schema })),
        event: order,
    }
}

/// Orders in JSON Schema.
pub(crate) fn json_orders() -> Language {
    let schema = |more: Value| {
        let mut properties = json!({
            "id": { "type": "string" },
            "features": { "type": "array", "items": { "type": "number" } },
            "customer": { "oneOf": [
                { "type": "null" },
                { "type": "object", "properties": { "name": { "type": "string" }, "limit": { "type": ["number", "null"] } } }
            ] },
            "tags": { "type": "object", "additionalProperties": { "type": ["integer", "null"] } },
            "note": { "type": ["string", "null"] }
        });
        properties
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        let schema = json!({ "title": "Order", "type": "object", "properties": properties, "required": ["id"] });
        json!({ "format": "json_schema", "schema": schema.to_string() })
    };
    let event = |number: usize, is_later: bool| {
        let mut order = order(number, is_later);
        let members = order.as_object_mut().expect("an object");
        members.retain(|name, _| {
            matches!(
                name.as_str(),
                "id" | "features" | "customer" | "tags" | "note" | "region"
            )
        });
        order
    };
    Language {
        format: "json_schema",
        schemas: [
            schema(json!({})),
            schema(json!({ "region": { "type": ["string", "null"] } })),
        ],
        event,
    }
}

/// Orders in Protobuf. What has its default is left out of a message, so each member that is compared has another value, or is
/// not there.
pub(crate) fn protobuf_orders() -> Language {
    let field = |name: &str, number: u32, kind: &str| json!({ "name": name, "number": number, "type": kind, "label": "LABEL_OPTIONAL", "jsonName": name });
    let repeated = |mut field: Value| {
        field["label"] = "LABEL_REPEATED".into();
        field
    };
    let of = |mut field: Value, name: &str| {
        field["typeName"] = name.into();
        field
    };
    let optional = |mut field: Value, index: u32| {
        field["oneofIndex"] = index.into();
        field["proto3Optional"] = true.into();
        field
    };
    let schema = |is_later: bool| {
        let mut fields = vec![
            field("id", 1, "TYPE_STRING"),
            repeated(field("features", 2, "TYPE_DOUBLE")),
            of(field("customer", 3, "TYPE_MESSAGE"), ".shop.Order.Customer"),
            repeated(of(field("tags", 4, "TYPE_MESSAGE"), ".shop.Order.TagsEntry")),
            field("raw", 5, "TYPE_BYTES"),
            optional(field("note", 6, "TYPE_STRING"), 0),
        ];
        let mut oneofs = vec![json!({ "name": "_note" })];
        if is_later {
            fields.push(optional(field("region", 7, "TYPE_STRING"), 1));
            oneofs.push(json!({ "name": "_region" }));
        }
        let customer = json!({ "name": "Customer", "field": [
            field("name", 1, "TYPE_STRING"), of(field("tier", 2, "TYPE_ENUM"), ".shop.Tier"), field("limit", 3, "TYPE_DOUBLE")
        ] });
        let entry = json!({ "name": "TagsEntry", "options": { "mapEntry": true }, "field": [
            field("key", 1, "TYPE_STRING"), field("value", 2, "TYPE_INT32")
        ] });
        let tiers = json!({ "name": "Tier", "value": [
            { "name": "NONE", "number": 0 }, { "name": "GOLD", "number": 1 }, { "name": "SILVER", "number": 2 }
        ] });
        let message = json!({ "name": "Order", "field": fields, "oneofDecl": oneofs, "nestedType": [customer, entry] });
        let file = json!({
            "name": "order.proto", "package": "shop", "syntax": "proto3", "messageType": [message], "enumType": [tiers]
        });
        json!({ "format": "protobuf", "file": file, "message": "shop.Order" })
    };
    let event = |number: usize, is_later: bool| {
        let mut order = json!({
            "id": format!("{number:04}"), "features": [(number % 10) as f64, 1.0], "tags": { "a": number + 1, "b": 7 },
            "raw": encode_block(&[number as u8, 0, 255]),
        });
        if !number.is_multiple_of(3) {
            order["customer"] = json!({ "name": "Åse", "tier": "SILVER", "limit": 1.0 + number as f64 / 8.0 });
        }
        if !number.is_multiple_of(2) {
            order["note"] = json!(format!("n{number}"));
        }
        if is_later && !number.is_multiple_of(5) {
            order["region"] = "north".into();
        }
        order
    };
    Language {
        format: "protobuf",
        schemas: [schema(false), schema(true)],
        event,
    }
}

pub(crate) fn order(number: usize, has_region: bool) -> Value {
    let customer = match number % 3 {
        0 => Value::Null,
        1 => json!({ "name": "Åse", "tier": "GOLD", "limit": null }),
        _ => json!({ "name": "Bo \"the\" \\", "tier": "SILVER", "limit": number as f64 / 8.0 }),
    };
    let mut order = json!({
        "id": format!("{number:04}"),
        "features": [(number % 10) as f64, 1.0],
        "customer": customer,
        "amount": { "$decimal": format!("{}.{:02}", number as i64 - 30, number % 100) },
        "at": 1_777_593_600_000_i64 + number as i64 * 1001 - 500,
        "day": number as i64 * 400 - 9000,
        "raw": { "$bytes": encode_block(&[number as u8, 0, 255]) },
        "note": if number.is_multiple_of(2) { json!(null) } else { json!(format!("n{number}")) },
    });
    if has_region {
        order["region"] = if number.is_multiple_of(5) {
            json!(null)
        } else {
            json!("north")
        };
    } else {
        order["tags"] = json!({ "a": number, "b": null });
    }
    order
}
