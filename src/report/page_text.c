/* page_text: text into HTML, and JSON into HTML. This file alone decides what may stand in the page: markup
 * characters become entities, bytes that are no UTF-8 and control characters become U+FFFD, and so do the
 * bidirectional overrides, with which a name could make the page show something else than it says. */
#include "report/page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"

static const char *entity(unsigned char c) {
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '\n':
    case '\t':
        return NULL;
    default:
        return c < ' ' || c == 127 ? REPLACEMENT : NULL;
    }
}

/* U+202A..U+202E and U+2066..U+2069, in UTF-8 */
static bool overrides_direction(const char *text, size_t length) {
    const unsigned char *c = (const unsigned char *)text;
    return length == 3 && c[0] == 0xe2 &&
           ((c[1] == 0x80 && c[2] >= 0xaa && c[2] <= 0xae) || (c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9));
}

void page_text(struct page *page, const char *text) {
    if (text == NULL)
        return;
    size_t left = strlen(text);
    const char *plain = text; /* start of what needs no change */
    while (left > 0) {
        size_t length = text_utf8_length(text, left);
        const char *instead = length == 1 ? entity((unsigned char)*text) : NULL;
        if (length == 0 || overrides_direction(text, length) ||
            (length == 2 && (unsigned char)text[0] == 0xc2 && (unsigned char)text[1] < 0xa0))
            instead = REPLACEMENT;
        length = length != 0 ? length : 1;
        if (instead != NULL) {
            buffer_append(page->out, plain, (size_t)(text - plain));
            buffer_text(page->out, instead);
            plain = text + length;
        }
        text += length;
        left -= length;
    }
    buffer_append(page->out, plain, (size_t)(text - plain));
}

void page_json(struct page *page, const struct buffer *json) {
    const char *plain = buffer_string(json), *end = plain + json->length;
    for (const char *c = plain; c < end; c++) {
        size_t length = *c == '<' ? 1 : end - c >= 3 && overrides_direction(c, 3) ? 3 : 0;
        if (length == 0)
            continue;
        buffer_append(page->out, plain, (size_t)(c - plain)); /* both stand in strings only */
        buffer_text(page->out, length == 1 ? "\\u003c" : REPLACEMENT);
        plain = c + length;
        c = plain - 1;
    }
    buffer_append(page->out, plain, (size_t)(end - plain));
}

void page_number(struct page *page, double value, unsigned digits) {
    char text[32];
    buffer_text(page->out, report_number(text, value, digits));
}

void page_duration(struct page *page, uint64_t ns) {
    char text[32];
    buffer_text(page->out, text_format_duration(text, ns > INT64_MAX ? INT64_MAX : (int64_t)ns));
}

bool page_active(const struct page *page, const struct report_trial *trial, unsigned variable) {
    if (trial == NULL || trial->values == NULL || variable >= page->run->variable_count)
        return false;
    const struct report_variable *of = &page->run->variables[variable];
    double value = trial->values[variable];
    if (of->kind == REPORT_CHOICE)
        return value >= 0 && value < of->choice_count;
    return isfinite(value);
}

void page_value(struct page *page, const struct report_variable *variable, double value) {
    char text[32];
    if (variable->kind == REPORT_CHOICE) {
        if (value >= 0 && value < variable->choice_count)
            page_text(page, variable->choices[(unsigned)value]);
    } else if (isfinite(value)) {
        buffer_text(page->out, report_number(text, value, variable->kind == REPORT_INT ? 15 : 5));
    }
}
