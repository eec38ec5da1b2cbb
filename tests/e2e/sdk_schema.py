"""A JSON Schema checker for what doc/worker-protocol.schema.json uses, so that the tests need no package.

An unknown keyword is an error: nothing in the schema can be silently ignored."""

import json
import os
import re

ROOT = os.environ.get("TROUPE_SOURCE_ROOT") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
with open(os.path.join(ROOT, "doc", "worker-protocol.schema.json")) as _file:
    SCHEMA = json.load(_file)

_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
_QUIET = ("$schema", "title", "$defs")


def _is(value, name):
    if name == "integer":
        return type(value) is int
    if name == "number":
        return type(value) in (int, float)
    return type(value) is _TYPES[name]


def problems(value, schema, at="$"):
    """What is wrong with value, as a list of sentences."""
    if schema is True:
        return []
    found = []
    for keyword, rule in schema.items():
        if keyword in _QUIET:
            continue
        check = _CHECKS[keyword]
        found += ["%s: %s" % (at, text) if not text.startswith("$") else text
                  for text in check(value, rule, at, schema)]
    return found


def _type(value, rule, at, schema):
    names = rule if isinstance(rule, list) else [rule]
    return [] if any(_is(value, name) for name in names) else ["%r is not of type %s" % (value, names)]


def _properties(value, rule, at, schema):
    found = []
    for name, inner in rule.items():
        if type(value) is dict and name in value:
            found += problems(value[name], inner, at + "." + name)
    return found


def _additional(value, rule, at, schema):
    found = []
    for name in value if type(value) is dict else ():
        if name not in schema.get("properties", ()):
            found += problems(value[name], rule, at + "." + name)
    return found


def _one_of(value, rule, at, schema):
    all_found = [problems(value, inner, at) for inner in rule]
    if sum(not found for found in all_found) == 1:
        return []
    return ["matches %d of %d shapes: %s" % (sum(not found for found in all_found), len(rule),
                                            min(all_found, key=len))]


def _reference(value, rule, at, schema):
    return problems(value, SCHEMA["$defs"][rule[len("#/$defs/"):]], at)


def _when(kind, holds):
    return lambda value, rule, at, schema: [] if type(value) not in kind or holds(value, rule) else [
        "%.100r breaks its bound %r" % (value, rule)]


_CHECKS = {
    "type": _type,
    "const": lambda value, rule, at, schema: [] if value == rule else ["%r is not %r" % (value, rule)],
    "required": lambda value, rule, at, schema: ["%s is missing" % name for name in rule
                                                 if type(value) is dict and name not in value],
    "dependentRequired": lambda value, rule, at, schema: [
        "%s is missing beside %s" % (other, name) for name, others in rule.items() if type(value) is dict
        and name in value for other in others if other not in value],
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": lambda value, rule, at, schema: [
        text for name in (value if type(value) is dict else ()) for text in problems(name, rule, at + " name")],
    "items": lambda value, rule, at, schema: [
        text for i, item in enumerate(value if type(value) is list else ())
        for text in problems(item, rule, "%s[%d]" % (at, i))],
    "oneOf": _one_of,
    "allOf": lambda value, rule, at, schema: [text for inner in rule for text in problems(value, inner, at)],
    "$ref": _reference,
    "minLength": _when((str,), lambda value, rule: len(value.encode()) >= rule),
    "maxLength": _when((str,), lambda value, rule: len(value.encode()) <= rule),
    "pattern": _when((str,), lambda value, rule: re.search(rule, value) is not None),
    "minimum": _when((int, float), lambda value, rule: value >= rule),
    "maximum": _when((int, float), lambda value, rule: value <= rule),
    "minItems": _when((list,), lambda value, rule: len(value) >= rule),
    "maxItems": _when((list,), lambda value, rule: len(value) <= rule),
    "uniqueItems": _when((list,), lambda value, rule: len(set(map(str, value))) == len(value)),
    "maxProperties": _when((dict,), lambda value, rule: len(value) <= rule),
}


def check_from_worker(message):
    return problems(message, SCHEMA["$defs"]["from_worker"])


def check_from_troupe(message):
    return problems(message, SCHEMA["$defs"]["from_troupe"])


def _no_constant(name):
    raise ValueError("%s is not JSON" % name)


def _no_twice(pairs):
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a key appears twice in %r" % (pairs,))
    return dict(pairs)


def strict_json(line):
    """json.loads without what Python adds to JSON, and with duplicate keys refused, as Troupe does."""
    return json.loads(line, parse_constant=_no_constant, object_pairs_hook=_no_twice)
