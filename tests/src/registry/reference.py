"""What Confluent's own serializers write, and what its deserializers read: the reference for formats with a registry.

Reads an order, a JSON file, and answers with JSON. On the way in, values that JSON does not have are {"$bytes": base64} and
{"$decimal": text}, and times are numbers; on the way out bytes are base64, and all else is text, times to "timespec".

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


def from_json(value):
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if isinstance(value, dict):
        if "$bytes" in value:
            return base64.b64decode(value["$bytes"])
        if "$decimal" in value:
            return decimal.Decimal(value["$decimal"])
        return {name: from_json(item) for name, item in value.items()}
    return value


def to_json(value, timespec):
    if isinstance(value, dict):
        return {name: to_json(item, timespec) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item, timespec) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec=timespec).replace("+00:00", "Z")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, datetime.time):
        return value.isoformat(timespec=timespec)
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
        timespec = task.get("timespec", "milliseconds")
        return AvroDeserializer(client), lambda value: to_json(value, timespec)
    if kind == "json_schema":
        return JSONDeserializer(None, schema_registry_client=client), lambda value: value
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
