/* Placeholders and metrics of plain commands.
 *
 * A metric is the last `name=value` or `name: value` in the output (the name may be quoted, as in a printed
 * Python dictionary), or the last JSON line with that key at its top. The name must stand alone:
 * best_val_acc is not val_acc.
 * Memory:  one line of at most ONCE_LINE_MAX bytes, whatever the command prints. */
#include "agent/once_text.h"

#include "document/document.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 63 };

static bool name_byte(char c) {
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '-' || c == '/';
}

/* Length of the identifier that `text` begins with, when it is followed by '}'; else 0. */
static size_t placeholder_length(const char *text) {
    if (!isalpha((unsigned char)text[0]) && text[0] != '_')
        return 0;
    size_t length = 1;
    while (name_byte(text[length]))
        length++;
    return text[length] == '}' && length <= NAME_MAX_BYTES ? length : 0;
}

enum troupe_error once_fill(const char *text, once_lookup lookup, void *context, const char *const *names,
                            size_t count, struct buffer *ret, struct fault *fault) {
    for (const char *at = text; *at;) {
        if ((at[0] == '{' && at[1] == '{') || (at[0] == '}' && at[1] == '}')) {
            buffer_append(ret, at, 1);
            at += 2;
            continue;
        }
        size_t length = at[0] == '{' ? placeholder_length(at + 1) : 0;
        if (length == 0) {
            buffer_append(ret, at++, 1);
            continue;
        }
        char name[NAME_MAX_BYTES + 1];
        memcpy(name, at + 1, length);
        name[length] = '\0';
        const char *value = lookup(context, name);
        if (!value) {
            const char *near = text_nearest(name, names, count);
            return fault_set(
                fault, TROUPE_INVALID, text,
                near ? "{%s} is not a variable; did you mean {%s}? (write {{%s}} for the text itself)"
                     : "{%s} is not a variable%s (write {{%s}} for the text itself)",
                name, near ? near : "", name);
        }
        buffer_text(ret, value);
        at += length + 2;
    }
    enum troupe_error error = buffer_ok(ret);
    return error == TROUPE_OK ? TROUPE_OK : fault_set(fault, error, text, "%s", error_text(error));
}

/* ---- metrics ---- */

void once_scan_init(struct once_scan *scan, struct account *account, struct once_metric *metrics,
                    unsigned count) {
    *scan = (struct once_scan){.account = account, .metrics = metrics, .count = count};
    buffer_init(&scan->line, account, ONCE_LINE_MAX);
}

void once_scan_free(struct once_scan *scan) {
    buffer_free(&scan->line);
}

/* The number after a name: optional closing quote, blanks, '=' or ':', blanks, a number that ends as one. */
static bool value_after(const char *at, double *ret_value) {
    if (*at == '"' || *at == '\'')
        at++;
    at += strspn(at, " \t");
    if (*at != '=' && *at != ':')
        return false;
    at++;
    at += strspn(at, " \t");
    /* strtod alone would take hexadecimal and "infinite loop". */
    if (at[0] == '0' && (at[1] == 'x' || at[1] == 'X'))
        return false;
    char *end;
    double value = strtod(at, &end);
    if (end == at || isalnum((unsigned char)*end) || *end == '_')
        return false;
    *ret_value = value;
    return true;
}

static void find_in_text(struct once_metric *metric, const char *line) {
    size_t length = strlen(metric->name);
    for (const char *at = line; (at = strstr(at, metric->name)) != NULL; at += length) {
        double value;
        if ((at > line && name_byte(at[-1])) || !value_after(at + length, &value))
            continue;
        metric->value = value;
        metric->seen = true;
    }
}

/* True when the line is a JSON object; its metrics have then been taken from its top level alone. */
static bool find_in_json(struct once_scan *scan, const char *line, size_t length) {
    struct document *document = NULL;
    if (document_parse_json(line, length, "output", NULL, &document, NULL) != TROUPE_OK)
        return false;
    const struct node *root = document_root(document);
    bool object = node_kind(root) == DOCUMENT_MAP;
    for (unsigned i = 0; object && i < scan->count; i++) {
        const struct node *node = node_get(root, scan->metrics[i].name);
        if (node && (node_kind(node) == DOCUMENT_INT || node_kind(node) == DOCUMENT_REAL)) {
            scan->metrics[i].value = node_real(node);
            scan->metrics[i].seen = true;
        }
    }
    document_free(document);
    return object;
}

static void end_of_line(struct once_scan *scan) {
    const char *line = buffer_string(&scan->line);
    size_t length = strlen(line); /* a NUL byte ends what is looked at */
    size_t blank = strspn(line, " \t\r");
    if (blank < length) {
        snprintf(scan->last_line, sizeof scan->last_line, "%s", line + blank);
        scan->last_line[strcspn(scan->last_line, "\r")] = '\0';
        if (line[blank] != '{' || !find_in_json(scan, line + blank, length - blank))
            for (unsigned i = 0; i < scan->count; i++)
                find_in_text(&scan->metrics[i], line);
    }
    buffer_clear(&scan->line);
}

void once_scan_bytes(struct once_scan *scan, const char *bytes, size_t length) {
    while (length > 0) {
        const char *end = memchr(bytes, '\n', length);
        size_t part = end ? (size_t)(end - bytes) : length;
        size_t room = ONCE_LINE_MAX - 1 - scan->line.length;
        buffer_append(&scan->line, bytes, part < room ? part : room);
        if (!end)
            return;
        end_of_line(scan);
        bytes += part + 1;
        length -= part + 1;
    }
}

void once_scan_end(struct once_scan *scan) {
    if (scan->line.length > 0)
        end_of_line(scan);
}
