/* worker_line: reading what a worker wrote (worker_protocol.h). Everything here is a stranger's input: each
 * field's kind and bound is checked before it is used, and what is wrong is told with the start of the line.
 */
#include "agent/worker_protocol.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define QUOTED_MAX 96
#define LINE_DEPTH_MAX 64

void worker_line_free(struct worker_line *line) {
    document_free(line->document);
    line->document = NULL;
    line->root = NULL;
}

/* A syntax error that is really a NaN or an Infinity deserves to be told as such: Python's json writes them.
 */
static const char *not_a_number_in(const char *bytes, size_t length) {
    static const char *const words[] = {"NaN", "Infinity"};
    for (size_t word = 0; word < ARRAY_COUNT(words); word++) {
        size_t word_length = strlen(words[word]);
        for (size_t at = 0; at + word_length <= length; at++)
            if (memcmp(bytes + at, words[word], word_length) == 0)
                return words[word];
    }
    return NULL;
}

static enum troupe_error line_fault(struct fault *fault, const char *bytes, size_t length, const char *what) {
    char quoted[QUOTED_MAX];
    return fault_set(fault, TROUPE_PROTOCOL, "", "%s; the line of %zu bytes begins '%s'", what, length,
                     worker_quote(bytes, length, quoted, sizeof quoted));
}

static const char *string_of(const struct node *node) {
    return node && node_kind(node) == DOCUMENT_STRING ? node_string(node) : NULL;
}

static enum worker_line_type type_of(const char *text) {
    static const char *const names[] = {[WORKER_HELLO] = "hello",
                                        [WORKER_RESULT] = "result",
                                        [WORKER_ERROR] = "error",
                                        [WORKER_PROGRESS] = "progress",
                                        [WORKER_LOG] = "log"};
    for (size_t at = 0; at < ARRAY_COUNT(names); at++)
        if (strcmp(names[at], text) == 0)
            return (enum worker_line_type)at;
    return WORKER_UNKNOWN;
}

/* What the types with an id need; NULL when all is there. */
static const char *ids_missing(struct worker_line *line) {
    const struct node *id = node_get(line->root, "id"), *attempt = node_get(line->root, "attempt");
    line->id = string_of(id);
    if (line->id && (node_string_length(id) > WORKER_ID_MAX || strlen(line->id) != node_string_length(id)))
        line->id = NULL;
    if (attempt && node_kind(attempt) == DOCUMENT_INT && node_int(attempt) >= 1 &&
        node_int(attempt) <= UINT16_MAX)
        line->attempt = (uint32_t)node_int(attempt);
    if (line->type == WORKER_RESULT || line->type == WORKER_PROGRESS || (line->type == WORKER_ERROR && id)) {
        if (!line->id)
            return "expected 'id' to repeat the id of a task";
        if (!line->attempt && (attempt || line->type != WORKER_PROGRESS))
            return "expected 'attempt' to repeat the attempt of the task";
    }
    return NULL;
}

enum troupe_error worker_line_read(const char *bytes, size_t length, struct worker_line *ret_line,
                                   struct fault *fault) {
    struct worker_line line = {.type = WORKER_UNKNOWN};
    struct document_limits limits = {.bytes_max = length + 1, .depth_max = LINE_DEPTH_MAX};
    struct fault inner = {0};
    enum troupe_error error = document_parse_json(bytes, length, "line", &limits, &line.document, &inner);
    if (error == TROUPE_NOMEM)
        return fault_set(fault, error, "", "out of memory for a line of %zu bytes", length);
    if (error != TROUPE_OK) {
        const char *word = not_a_number_in(bytes, length);
        char what[320];
        if (word)
            snprintf(what, sizeof what, "expected a JSON object, but JSON has no %s", word);
        else
            snprintf(what, sizeof what, "expected a JSON object (%.200s)", inner.text);
        return line_fault(fault, bytes, length, what);
    }
    line.root = document_root(line.document);
    const char *missing = NULL;
    if (node_kind(line.root) != DOCUMENT_MAP)
        missing = "expected a JSON object";
    else if (!(line.type_text = string_of(node_get(line.root, "type"))))
        missing = "expected a string 'type'";
    else {
        line.type = type_of(line.type_text);
        missing = ids_missing(&line);
    }
    if (missing) {
        worker_line_free(&line);
        return line_fault(fault, bytes, length, missing);
    }
    *ret_line = line;
    return TROUPE_OK;
}

enum troupe_error worker_line_hello(const struct worker_line *line, const struct capability_set *needed,
                                    const struct capability_names *names, struct fault *fault) {
    const struct node *protocol = node_get(line->root, "protocol");
    if (!protocol || node_kind(protocol) != DOCUMENT_INT || node_int(protocol) != WORKER_PROTOCOL_VERSION)
        return fault_set(
            fault, TROUPE_PROTOCOL, "", "its hello has protocol %.20s; this Troupe speaks protocol %d",
            protocol && node_text(protocol) ? node_text(protocol) : "(none)", WORKER_PROTOCOL_VERSION);
    const struct node *list = node_get(line->root, "capabilities");
    char has[200] = "";
    size_t used = 0;
    struct capability_set offered = {{0}};
    for (size_t at = 0; list && node_kind(list) == DOCUMENT_LIST && at < node_count(list); at++) {
        const char *name = string_of(node_at(list, at));
        if (!name)
            continue;
        int bit = names ? capability_find(names, name) : -1;
        if (bit >= 0)
            capability_set_add(&offered, (unsigned)bit);
        if (used < sizeof has)
            used += (size_t)snprintf(has + used, sizeof has - used, "%s%.60s", used ? ", " : "", name);
    }
    for (unsigned bit = 0; names && bit < names->count; bit++)
        if (capability_set_has(needed, bit) && !capability_set_has(&offered, bit))
            return fault_set(fault, TROUPE_PROTOCOL, "",
                             "it has no capability '%.60s' that the agent promises; its hello has: %s",
                             names->names[bit], used ? has : "none");
    return TROUPE_OK;
}

/* ---- result and error ---- */

static void result_refuse(struct task_result *result, enum troupe_error error, const char *format, ...)
    PRINTF_LIKE(3, 4);
static void result_refuse(struct task_result *result, enum troupe_error error, const char *format, ...) {
    if (result->error != TROUPE_OK)
        return; /* the first reason stays */
    va_list args;
    va_start(args, format);
    vsnprintf(result->message, sizeof result->message, format, args);
    va_end(args);
    text_make_printable(result->message); /* it may quote the worker */
    result->error = error;
}

static bool number_of(const struct node *node, double *ret) {
    if (!node || (node_kind(node) != DOCUMENT_INT && node_kind(node) != DOCUMENT_REAL))
        return false;
    *ret = node_real(node);
    return isfinite(*ret);
}

static void read_metrics(const struct node *metrics, struct task_result *result) {
    if (!metrics)
        return;
    if (node_kind(metrics) != DOCUMENT_MAP) {
        result_refuse(result, TROUPE_PROTOCOL, "metrics is %s; expected an object of numbers",
                      node_kind_name(metrics));
        return;
    }
    for (size_t at = 0; at < node_count(metrics); at++) {
        const char *name = node_key_at(metrics, at);
        const struct node *node = node_at(metrics, at);
        double value;
        if (result->metric_count == METRICS_MAX) {
            result_refuse(result, TROUPE_LIMIT, "%zu metrics; at most %d are kept", node_count(metrics),
                          METRICS_MAX);
            return;
        }
        if (!*name || strlen(name) > METRIC_NAME_MAX) {
            result_refuse(result, TROUPE_LIMIT, "a metric's name has %zu bytes; expected 1 to %d",
                          strlen(name), METRIC_NAME_MAX);
            return;
        }
        if (!number_of(node, &value)) {
            char found[96];
            result_refuse(result, TROUPE_PROTOCOL, "metric '%s' is %s; expected a finite number", name,
                          node_found(node, found));
            return;
        }
        struct metric *metric = &result->metrics[result->metric_count++];
        memcpy(metric->name, name, strlen(name) + 1);
        metric->value = value;
    }
}

static void read_artifact(const struct node *node, struct task_result *result) {
    if (!node || node_kind(node) == DOCUMENT_NULL)
        return;
    const char *name = string_of(node);
    if (!name || !*name || name[0] == '.' || strchr(name, '/') || strlen(name) != node_string_length(node) ||
        strlen(name) >= sizeof result->artifact) {
        char quoted[QUOTED_MAX] = "";
        if (name)
            worker_quote(name, strlen(name), quoted, sizeof quoted);
        result_refuse(result, TROUPE_PROTOCOL,
                      "artifact '%s': expected the name of a file in artifact_dir, without '/' or a leading "
                      "'.', up to %zu bytes",
                      name ? quoted : node_kind_name(node), sizeof result->artifact - 1);
        return;
    }
    memcpy(result->artifact, name, strlen(name) + 1);
}

static void read_usage(const struct node *usage, struct task_result *result) {
    double cpu_ms, wait_ms;
    if (!usage || node_kind(usage) != DOCUMENT_MAP)
        return;
    if (number_of(node_get(usage, "cpu_ms"), &cpu_ms) && cpu_ms > 0 && cpu_ms < 1e12)
        result->cpu_ns = (uint64_t)(cpu_ms * 1e6);
    if (number_of(node_get(usage, "core_wait_ms"), &wait_ms) && wait_ms >= 0 && wait_ms < 1e12)
        result->core_wait_ns = (uint64_t)(wait_ms * 1e6);
}

/* At most size - 1 bytes, as one line that is fit for a terminal. */
static void text_line(char *out, size_t size, const char *text, size_t length) {
    size_t used = length < size ? length : size - 1;
    memcpy(out, text, used);
    out[used] = 0;
    text_make_printable(out);
}

enum troupe_error worker_line_result(const struct worker_line *line, struct account *account,
                                     struct buffer *scratch, struct task_result **ret_result) {
    const struct node *value = line->type == WORKER_RESULT ? node_get(line->root, "value") : NULL;
    buffer_clear(scratch);
    if (value) {
        struct json json;
        json_init(&json, scratch);
        node_write_json(value, &json);
        if (buffer_ok(scratch) == TROUPE_NOMEM)
            return TROUPE_NOMEM;
    }
    bool too_long = value && (buffer_ok(scratch) != TROUPE_OK || scratch->length > WORKER_VALUE_MAX);
    struct task_result *result = task_result_new(account, value && !too_long ? buffer_string(scratch) : NULL,
                                                 too_long ? 0 : scratch->length);
    if (!result)
        return TROUPE_NOMEM;
    if (too_long)
        result_refuse(result, TROUPE_LIMIT,
                      "its value has more than %d bytes of JSON; write an artifact instead",
                      WORKER_VALUE_MAX);
    if (line->type == WORKER_ERROR) {
        const struct node *message = node_get(line->root, "message"),
                          *retryable = node_get(line->root, "retryable"),
                          *deadline = node_get(line->root, "deadline");
        const char *text = string_of(message);
        bool late = deadline && node_kind(deadline) == DOCUMENT_BOOL && node_bool(deadline);
        result->error = late ? TROUPE_DEADLINE : TROUPE_WORKER;
        result->retryable = retryable && node_kind(retryable) == DOCUMENT_BOOL && node_bool(retryable);
        if (text && *text)
            text_line(result->message, sizeof result->message, text, node_string_length(message));
        else
            snprintf(result->message, sizeof result->message,
                     "the worker reported an error without a message");
    } else {
        read_metrics(node_get(line->root, "metrics"), result);
        read_artifact(node_get(line->root, "artifact"), result);
    }
    read_usage(node_get(line->root, "usage"), result);
    *ret_result = result;
    return TROUPE_OK;
}

void worker_line_progress(const struct worker_line *line, struct message_task_progress *ret) {
    const struct node *step = node_get(line->root, "step"), *metrics = node_get(line->root, "metrics");
    if (step && node_kind(step) == DOCUMENT_INT)
        ret->step = node_int(step);
    if (!metrics || node_kind(metrics) != DOCUMENT_MAP)
        return;
    for (size_t at = 0; at < node_count(metrics) && ret->metric_count < WORKER_PROGRESS_METRICS_MAX; at++) {
        const char *name = node_key_at(metrics, at);
        struct metric *metric = &ret->metrics[ret->metric_count];
        if (strlen(name) > METRIC_NAME_MAX || !number_of(node_at(metrics, at), &metric->value))
            continue;
        memcpy(metric->name, name, strlen(name) + 1);
        ret->metric_count++;
    }
}

const char *worker_line_text(const struct worker_line *line) {
    const char *text = string_of(node_get(line->root, "message"));
    return text ? text : "";
}
