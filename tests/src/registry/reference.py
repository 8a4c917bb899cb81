"""What Confluent's own serializers write, and what its deserializers read: the reference for formats with a registry.

Reads an order, a JSON file, and answers with JSON. Values that JSON does not have travel as {"$bytes": base64},
{"$decimal": text} and {"$float": text}; what the deserializer gives of times and UUIDs is told in the same way.

    {"url": …, "write": [{"format": "avro" | "protobuf" | "json_schema", "topic": …, "schema": …, "values": […]}]}
    {"url": …, "read":  [{"format": …, "topic": …, "values": [base64 of a framed value, …]}]}

Protobuf also wants "file", a FileDescriptorProto as JSON, and "message", a message's full name: its schema must be
registered already.
"""

import base64
import datetime
import decimal
import json
import sys
import uuid

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def from_json(value):
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if isinstance(value, dict):
        if "$bytes" in value:
            return base64.b64decode(value["$bytes"])
        if "$decimal" in value:
            return decimal.Decimal(value["$decimal"])
        if "$float" in value:
            return float(value["$float"])
        return {name: from_json(item) for name, item in value.items()}
    return value


def to_json(value):
    if isinstance(value, dict):
        return {name: to_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, decimal.Decimal):
        return {"$decimal": str(value)}
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return {"$float": str(value)}
    if isinstance(value, datetime.datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
        return {"$microseconds": (aware - EPOCH) // datetime.timedelta(microseconds=1)}
    if isinstance(value, datetime.date):
        return {"$days": (value - EPOCH.date()).days}
    if isinstance(value, datetime.time):
        since = datetime.timedelta(
            hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond
        )
        return {"$microseconds": since // datetime.timedelta(microseconds=1)}
    if isinstance(value, uuid.UUID):
        return {"$uuid": str(value)}
    return value


def message_class(task):
    file = json_format.ParseDict(task["file"], descriptor_pb2.FileDescriptorProto())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(task["message"]))


def writer(client, task):
    kind = task["format"]
    if kind == "avro":
        return AvroSerializer(client, task["schema"]), from_json
    if kind == "json_schema":
        return JSONSerializer(task["schema"], client), from_json
    message = message_class(task)
    return ProtobufSerializer(message, client), lambda value: json_format.ParseDict(value, message())


def reader(client, task):
    kind = task["format"]
    if kind == "avro":
        return AvroDeserializer(client), to_json
    if kind == "json_schema":
        return JSONDeserializer(None, schema_registry_client=client), to_json
    reading = ProtobufDeserializer(message_class(task), schema_registry_client=client)
    return reading, lambda message: json_format.MessageToDict(message, preserving_proto_field_name=True)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        order = json.load(file)
    client = SchemaRegistryClient({"url": order["url"]})
    answer = {"written": [], "read": []}
    for task in order.get("write", []):
        write, prepare = writer(client, task)
        context = SerializationContext(task["topic"], MessageField.VALUE)
        values = [write(prepare(value), context) for value in task["values"]]
        answer["written"].append([base64.b64encode(value).decode() for value in values])
    for task in order.get("read", []):
        read, tell = reader(client, task)
        context = SerializationContext(task["topic"], MessageField.VALUE)
        values = [read(base64.b64decode(value), context) for value in task["values"]]
        answer["read"].append([tell(value) for value in values])
    json.dump(answer, sys.stdout)


main()
