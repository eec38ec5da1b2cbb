/* YAML through libyaml's events into the builder. libyaml allocates for itself (a few KiB, and the scalar at
 * hand); its failures come back as NOMEM. Refused, each with a sentence: aliases and anchors (they hide
 * size), tags, several documents, keys that are no scalars.
 * Invariants: one event is alive at a time and deleted before the next.
 * Threads: one a parse. */
#include "document/document_tree.h"

#include <string.h>
#include <yaml.h>

struct yaml_input {
    const char *bytes;
    size_t length;
};

static struct position position_of(yaml_mark_t mark) {
    return (struct position){(uint32_t)mark.line + 1, (uint32_t)mark.column + 1};
}

/* The position of a byte, for errors of libyaml's reader, which knows only the offset. */
static struct position position_of_offset(const struct yaml_input *input, size_t offset) {
    struct position position = {1, 1};
    for (size_t i = 0; i < offset && i < input->length; i++) {
        if (input->bytes[i] == '\n')
            position = (struct position){position.line + 1, 1};
        else if (((unsigned char)input->bytes[i] & 0xc0) != 0x80)
            position.column++;
    }
    return position;
}

/* The byte at a position of UTF-8 input, or 0. */
static char byte_at(const struct yaml_input *input, struct position wanted) {
    struct position position = {1, 1};
    for (size_t i = 0; i < input->length; i++) {
        if (((unsigned char)input->bytes[i] & 0xc0) == 0x80)
            continue;
        if (position.line == wanted.line && position.column == wanted.column)
            return input->bytes[i];
        if (input->bytes[i] == '\n')
            position = (struct position){position.line + 1, 1};
        else
            position.column++;
    }
    return 0;
}

/* What the person may have meant, for the mistakes people make. */
static const char *advice(const char *problem, char byte) {
    if (byte == '\t')
        return " (YAML is indented with spaces, not tabs)";
    if (strstr(problem, "cannot start any token") != NULL)
        return " (quote a value that begins with a special character)";
    if (strstr(problem, "mapping values are not allowed") != NULL)
        return " (quote a value that holds ': ', and check the indentation)";
    if (strstr(problem, "could not find expected ':'") != NULL)
        return " (a key needs ': ' after it)";
    if (strstr(problem, "did not find expected key") != NULL || strstr(problem, "<document start>") != NULL)
        return " (check the indentation)";
    return "";
}

/* libyaml's "did not find expected ',' or ']'" in the words of our own messages. */
static const char *reworded(const char *problem, const char **ret_verb) {
    static const char *const prefixes[] = {"did not find expected ", "could not find expected "};
    *ret_verb = "";
    for (size_t i = 0; i < ARRAY_COUNT(prefixes); i++)
        if (strncmp(problem, prefixes[i], strlen(prefixes[i])) == 0) {
            *ret_verb = "expected ";
            problem += strlen(prefixes[i]);
            /* what libyaml says of text behind a whole value */
            return strcmp(problem, "<document start>") == 0 ? "nothing after the value" : problem;
        }
    return problem;
}

static enum troupe_error parser_failed(struct builder *builder, const yaml_parser_t *parser,
                                       const struct yaml_input *input) {
    if (parser->error == YAML_MEMORY_ERROR || parser->error == YAML_NO_ERROR)
        return builder_nomem(builder);
    const char *verb, *problem = parser->problem == NULL ? "not YAML" : parser->problem;
    if (parser->error == YAML_READER_ERROR) {
        struct position position = position_of_offset(input, parser->problem_offset);
        if (parser->problem_value < 0)
            return builder_fail(builder, TROUPE_SYNTAX, position, "%s", problem);
        return builder_fail(builder, TROUPE_SYNTAX, position, "%s (0x%02x)", problem,
                            (unsigned)parser->problem_value);
    }
    struct position position = position_of(parser->problem_mark);
    const char *help = advice(problem, byte_at(input, position)), *context = parser->context;
    problem = reworded(problem, &verb);
    /* "while scanning for the next token" tells a person nothing. */
    if (context == NULL || strstr(context, "next token") != NULL)
        return builder_fail(builder, TROUPE_SYNTAX, position, "%s%s%s", verb, problem, help);
    return builder_fail(builder, TROUPE_SYNTAX, position, "%s%s %s that begins on line %zu%s", verb, problem,
                        context, parser->context_mark.line + 1, help);
}

static enum troupe_error refuse_anchor_and_tag(struct builder *builder, struct position position,
                                               const yaml_char_t *anchor, const yaml_char_t *tag) {
    if (anchor != NULL)
        return builder_fail(builder, TROUPE_SYNTAX, position,
                            "anchors are not supported; found &%.60s, write the value out",
                            (const char *)anchor);
    if (tag != NULL)
        return builder_fail(builder, TROUPE_SYNTAX, position, "tags are not supported; found %.60s",
                            (const char *)tag);
    return TROUPE_OK;
}

static enum troupe_error take_scalar(struct builder *builder, const yaml_event_t *event,
                                     struct position position) {
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    enum troupe_error error =
        refuse_anchor_and_tag(builder, position, event->data.scalar.anchor, event->data.scalar.tag);
    if (error != TROUPE_OK)
        return error;
    if (builder_in_map(builder) && builder->key == NULL) {
        if (plain && length == 0)
            return builder_fail(builder, TROUPE_SYNTAX, position, "expected a key before ':'");
        if (plain && strcmp(text, "<<") == 0)
            return builder_fail(builder, TROUPE_SYNTAX, position, "merge keys (<<) are not supported");
        return builder_key(builder, position, text, length);
    }
    char *copy = arena_copy(&builder->document->arena, text, length);
    if (copy == NULL)
        return builder_nomem(builder);
    struct scalar scalar = {.kind = DOCUMENT_STRING, .text = copy, .length = length};
    if (plain)
        scalar = scalar_resolve(copy, length);
    return builder_scalar(builder, position, &scalar);
}

static enum troupe_error take_open(struct builder *builder, struct position position,
                                   enum document_kind kind) {
    if (builder_in_map(builder) && builder->key == NULL)
        return builder_fail(builder, TROUPE_SYNTAX, position, "%s cannot be a key; quote it to make it text",
                            kind == DOCUMENT_MAP ? "a map" : "a list");
    return builder_open(builder, position, kind);
}

static enum troupe_error take_event(struct builder *builder, const yaml_event_t *event) {
    struct position position = position_of(event->start_mark);
    enum troupe_error error = TROUPE_OK;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (builder->document->root != NULL)
            return builder_fail(builder, TROUPE_SYNTAX, position,
                                "expected one document, found a second one");
        return TROUPE_OK;
    case YAML_ALIAS_EVENT:
        return builder_fail(builder, TROUPE_SYNTAX, position, "aliases are not supported; found *%.60s",
                            (const char *)event->data.alias.anchor);
    case YAML_SCALAR_EVENT:
        return take_scalar(builder, event, position);
    case YAML_SEQUENCE_START_EVENT:
        error = refuse_anchor_and_tag(builder, position, event->data.sequence_start.anchor,
                                      event->data.sequence_start.tag);
        return error != TROUPE_OK ? error : take_open(builder, position, DOCUMENT_LIST);
    case YAML_MAPPING_START_EVENT:
        error = refuse_anchor_and_tag(builder, position, event->data.mapping_start.anchor,
                                      event->data.mapping_start.tag);
        return error != TROUPE_OK ? error : take_open(builder, position, DOCUMENT_MAP);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return builder_close(builder);
    default:
        return TROUPE_OK;
    }
}

static enum troupe_error parse_events(struct builder *builder, const struct yaml_input *input) {
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return builder_nomem(builder);
    yaml_parser_set_input_string(&parser, (const unsigned char *)input->bytes, input->length);
    enum troupe_error error = TROUPE_OK;
    for (bool ended = false; !ended && error == TROUPE_OK;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            error = parser_failed(builder, &parser, input);
            break;
        }
        ended = event.type == YAML_STREAM_END_EVENT;
        error = take_event(builder, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return error;
}

enum troupe_error document_parse_yaml(const char *bytes, size_t length, const char *source,
                                      const struct document_limits *limits, struct document **ret_document,
                                      struct fault *fault) {
    struct builder builder;
    struct yaml_input input = {bytes, length};
    enum troupe_error error = builder_begin(&builder, source, limits, fault);
    if (error == TROUPE_OK && length > builder.limits.bytes_max)
        error = builder_fail(&builder, TROUPE_LIMIT, (struct position){0}, "longer than %zu bytes",
                             builder.limits.bytes_max);
    if (error == TROUPE_OK)
        error = parse_events(&builder, &input);
    if (error == TROUPE_OK && builder.document->root == NULL) {
        /* Nothing but comments: the null document, as `null` written on line 1. */
        struct scalar scalar = scalar_resolve("", 0);
        error = builder_scalar(&builder, (struct position){1, 1}, &scalar);
    }
    CHECK(error == builder.error);
    return builder_end(&builder, ret_document);
}
