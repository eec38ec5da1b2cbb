/* report_table: aligned columns and bars for a terminal. Cells are gathered first, as NUL-ended texts in one
 * buffer, because a column is as wide as its widest cell. Width counts characters; combining ones and wide
 * ones are not told apart (terminals do not agree on them either). */
#include "report/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WIDTH_DEFAULT 60

void report_table_init(struct report_table *table, struct account *account, const char *columns) {
    *table = (struct report_table){.width_max = WIDTH_DEFAULT};
    buffer_init(&table->cells, account, 64 << 20);
    while (table->column_count < REPORT_COLUMNS_MAX) {
        size_t length = strcspn(columns, "|");
        char title[64];
        if (*columns == '>') {
            table->right[table->column_count] = true;
            columns++;
            length--;
        }
        snprintf(title, sizeof title, "%.*s", (int)length, columns);
        table->column_count++;
        report_table_cell(table, title);
        columns += length;
        if (*columns++ != '|')
            break;
    }
}

/* Copies `text` cut to `width_max` characters; returns how many it has. */
static unsigned add_cell(struct report_table *table, const char *text) {
    size_t left = strlen(text), length = 0;
    unsigned limit = table->width_max != 0 ? table->width_max : WIDTH_DEFAULT, width = 0;
    unsigned whole = 0;
    for (size_t at = 0; at < left; whole++) {
        length = text_utf8_length(text + at, left - at);
        at += length != 0 ? length : 1;
    }
    for (; left > 0 && width < limit; width++) {
        length = text_utf8_length(text, left);
        if (whole > limit && width == limit - 1)
            buffer_text(&table->cells, "\xe2\x80\xa6");
        else if (length == 0)
            buffer_text(&table->cells, "?");
        else if ((unsigned char)*text < ' ' || *text == 127)
            buffer_text(&table->cells, " ");
        else if (length == 2 && (unsigned char)*text == 0xc2 && (unsigned char)text[1] < 0xa0)
            buffer_text(&table->cells, " "); /* C1 controls: some terminals obey them */
        else
            buffer_append(&table->cells, text, length);
        length = length != 0 ? length : 1;
        text += length;
        left -= length;
    }
    return width;
}

void report_table_cell(struct report_table *table, const char *text) {
    unsigned column = (unsigned)(table->cell_count++ % table->column_count);
    unsigned width = add_cell(table, text != NULL ? text : "");
    buffer_append(&table->cells, "", 1);
    if (width > table->width[column])
        table->width[column] = width;
}

void report_table_format(struct report_table *table, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    report_table_cell(table, text);
}

static void spaces(struct buffer *out, unsigned count) {
    for (; count > 0; count--)
        buffer_append(out, " ", 1);
}

static unsigned characters(const char *text) {
    unsigned count = 0;
    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

enum troupe_error report_table_end(struct report_table *table, unsigned indent, struct buffer *out) {
    enum troupe_error error = buffer_ok(&table->cells);
    const char *cell = buffer_string(&table->cells);
    for (size_t i = 0; error == TROUPE_OK && i < table->cell_count; i++) {
        unsigned column = (unsigned)(i % table->column_count), width = characters(cell);
        unsigned pad = table->width[column] > width ? table->width[column] - width : 0;
        bool last = column + 1 == table->column_count || i + 1 == table->cell_count;
        if (column == 0)
            spaces(out, indent);
        if (table->right[column])
            spaces(out, pad);
        buffer_text(out, cell);
        if (last)
            buffer_text(out, "\n");
        else
            spaces(out, (table->right[column] ? 0 : pad) + 2);
        cell += strlen(cell) + 1;
    }
    buffer_free(&table->cells);
    return error == TROUPE_OK ? buffer_ok(out) : error;
}

void report_bar(struct buffer *out, double part, double whole, unsigned width) {
    double full = whole > 0 && part > 0 ? part / whole * width : 0;
    unsigned filled = full >= width ? width : (unsigned)(full + 0.5);
    if (filled == 0 && part > 0 && whole > 0 && width > 0)
        filled = 1; /* something is never shown as nothing */
    for (unsigned i = 0; i < width; i++)
        buffer_append(out, i < filled ? "#" : ".", 1);
}
