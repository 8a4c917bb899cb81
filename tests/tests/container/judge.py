"""Judges what is on standard input, with .eddy/manifests/python; prints what is wrong and ends with 1, or prints the input as JSON.

    judge.py manifests 1.37 CRD.yaml…    Kubernetes objects, by its schemas of that version and by these definitions
    judge.py bom                         a CycloneDX document
"""

import json
import sys

import yaml


class Strict(yaml.SafeLoader):
    """Refuses a key that comes twice, as Kubernetes does."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"twice: {twice}", node.start_mark)
        return super().construct_mapping(node, deep)


def closed(schema):
    """A schema of a definition, by which what it does not name is wrong; Kubernetes would drop it in silence."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: closed(value) for key, value in schema.items()}
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict) and not is_open:
        schema["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        schema.pop("type", None)
    return schema


def definitions(paths):
    found = {}
    for path in paths:
        with open(path) as file:
            definition = yaml.safe_load(file)["spec"]
        for version in definition["versions"]:
            schema = closed(version["schema"]["openAPIV3Schema"])
            # Of these, a definition says no more than that they are objects.
            schema["properties"]["metadata"] = {"type": "object"}
            found[f"{definition['group']}/{version['name']}", definition["names"]["kind"]] = schema
    return found


def manifests(version, *paths):
    import jsonschema
    import kubernetes_validate

    defined = definitions(paths)
    documents = [document for document in yaml.load_all(sys.stdin, Strict) if document]
    faults = []
    for document in documents:
        place = f"{document.get('kind')} {document.get('metadata', {}).get('name')}"
        schema = defined.get((document.get("apiVersion"), document.get("kind")))
        try:
            if schema:
                jsonschema.Draft7Validator(schema).validate(document)
            else:
                kubernetes_validate.validate(document, version, strict=True)
        except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
            faults.append(f"{place}: {'/'.join(map(str, error.path))}: {error.message}")
        except (kubernetes_validate.InvalidSchemaError, kubernetes_validate.SchemaNotFoundError) as error:
            faults.append(f"{place}: {error}")
    return documents, faults


def bom():
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = sys.stdin.read()
    error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
    return json.loads(text), [str(error)] if error else []


def main():
    found, faults = {"manifests": manifests, "bom": bom}[sys.argv[1]](*sys.argv[2:])
    if faults:
        sys.exit("\n".join(faults))
    json.dump(found, sys.stdout)


main()
