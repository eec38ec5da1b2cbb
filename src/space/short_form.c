/* The short forms of a variable: float(a,b[,step]), int(a,b[,step]), log(a,b), logint(a,b), choice(a,b,c).
 * Positions in messages are columns of the form, from 1. A choice may be quoted with ' or ", which keeps 3 a
 * text. What is read goes to the space's arena. One thread: the one that compiles. */
#include "space/space_private.h"

#include <stdio.h>
#include <string.h>

#define ARGUMENT_LENGTH_MAX 256

struct short_form {
    const char *name;
    enum variable_kind kind;
    bool log;
    unsigned arguments_min, arguments_max;
    const char *usage;
};

static const struct short_form forms[] = {
    {"float", VARIABLE_FLOAT, false, 2, 3, "float(low, high) or float(low, high, step)"},
    {"int", VARIABLE_INT, false, 2, 3, "int(low, high) or int(low, high, step)"},
    {"log", VARIABLE_FLOAT, true, 2, 2, "log(low, high)"},
    {"logint", VARIABLE_INT, true, 2, 2, "logint(low, high)"},
    {"choice", VARIABLE_CHOICE, false, 1, SPACE_CHOICES_MAX, "choice(a, b, ...)"},
};

/* Reading position in the text of a form. */
struct short_reader {
    const char *text;
    size_t at;
    const struct variable *variable;
    const struct place *place;
    struct fault *fault;
};

static void blanks_skip(struct short_reader *reader) {
    while (reader->text[reader->at] == ' ' || reader->text[reader->at] == '\t')
        reader->at++;
}

static enum troupe_error short_fault(const struct short_reader *reader, const char *problem) {
    return place_fault(reader->place, reader->fault, TROUPE_SYNTAX, "'%s': '%.200s', column %zu: %s",
                       reader->variable->name, reader->text, reader->at + 1, problem);
}

static const struct short_form *form_find(struct short_reader *reader) {
    size_t start = reader->at, length = strcspn(reader->text + start, " \t(");
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++)
        if (strlen(forms[i].name) == length && memcmp(forms[i].name, reader->text + start, length) == 0) {
            reader->at += length;
            return &forms[i];
        }
    return NULL;
}

static enum troupe_error form_unknown(const struct short_reader *reader) {
    const char *names[ARRAY_COUNT(forms)];
    char word[64];
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++)
        names[i] = forms[i].name;
    snprintf(word, sizeof word, "%.*s", (int)strcspn(reader->text + reader->at, " \t("),
             reader->text + reader->at);
    const char *nearest = text_nearest(word, names, ARRAY_COUNT(forms));
    return place_fault(reader->place, reader->fault, TROUPE_INVALID,
                       "'%s': '%s' is no kind of variable%s%s%s; expected float(low, high), int(low, high), "
                       "log(low, high), logint(low, high) or choice(a, b)",
                       reader->variable->name, word, nearest ? ", did you mean '" : "",
                       nearest ? nearest : "", nearest ? "'?" : "");
}

/* One argument into `out`, trimmed; stands at ',' or ')' after it. */
static enum troupe_error argument_read(struct short_reader *reader, char out[ARGUMENT_LENGTH_MAX],
                                       bool *ret_quoted) {
    blanks_skip(reader);
    const char *start = reader->text + reader->at;
    char quote = *start == '\'' || *start == '"' ? *start : 0;
    size_t length;
    if (quote) {
        start++;
        const char *end = strchr(start, quote);
        if (!end)
            return short_fault(reader, "the quote is never closed");
        length = (size_t)(end - start);
        reader->at += length + 2;
    } else {
        length = strcspn(start, ",)");
        reader->at += length;
        while (length > 0 && (start[length - 1] == ' ' || start[length - 1] == '\t'))
            length--;
        if (length == 0)
            return short_fault(reader, "expected a value here");
    }
    if (length >= ARGUMENT_LENGTH_MAX)
        return short_fault(reader, "the value is longer than 255 bytes");
    memcpy(out, start, length);
    out[length] = 0;
    *ret_quoted = quote != 0;
    blanks_skip(reader);
    return TROUPE_OK;
}

static enum document_kind argument_kind(const char *text, bool quoted) {
    int64_t integer;
    double real;
    if (quoted)
        return DOCUMENT_STRING;
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return DOCUMENT_BOOL;
    if (text_int(text, &integer) == TROUPE_OK)
        return DOCUMENT_INT;
    return text_real(text, &real) == TROUPE_OK ? DOCUMENT_REAL : DOCUMENT_STRING;
}

static enum troupe_error argument_take(struct space *space, struct variable *variable, unsigned index,
                                       const char *text, bool quoted, const struct short_reader *reader) {
    double *numbers[] = {&variable->low, &variable->high, &variable->step};
    if (variable->kind == VARIABLE_CHOICE) {
        enum document_kind kind = argument_kind(text, quoted);
        int64_t integer;
        char canonical[32];
        if (kind == DOCUMENT_INT && text_int(text, &integer) == TROUPE_OK) {
            snprintf(canonical, sizeof canonical, "%lld", (long long)integer);
            text = canonical;
        }
        return variable_add_choice(space, variable, text, kind, reader->place, reader->fault);
    }
    if (quoted || text_real(text, numbers[index]) != TROUPE_OK)
        return place_fault(reader->place, reader->fault, TROUPE_INVALID, "'%s': '%s' is not a number",
                           variable->name, text);
    if (index == 2 && !(variable->step > 0))
        return place_fault(reader->place, reader->fault, TROUPE_INVALID, "'%s': the step %s must be positive",
                           variable->name, text);
    return TROUPE_OK;
}

static size_t commas_count(const char *text) {
    size_t count = 0;
    for (; *text; text++)
        count += *text == ',';
    return count;
}

enum troupe_error variable_from_short_form(struct space *space, unsigned index, const char *text,
                                           const struct place *place, struct fault *fault) {
    struct variable *variable = &space->variables[index];
    struct short_reader reader = {.text = text, .variable = variable, .place = place, .fault = fault};
    blanks_skip(&reader);
    const struct short_form *form = form_find(&reader);
    if (!form)
        return form_unknown(&reader);
    variable->kind = form->kind;
    variable->log = form->log;
    blanks_skip(&reader);
    if (text[reader.at] != '(')
        return short_fault(&reader, "expected '('");
    size_t room = commas_count(text) + 1;
    if (form->kind == VARIABLE_CHOICE) {
        variable->choices = ARENA_ARRAY(&space->arena, const char *, room);
        variable->choice_kinds = ARENA_ARRAY(&space->arena, enum document_kind, room);
        if (!variable->choices || !variable->choice_kinds)
            return place_fault(place, fault, TROUPE_NOMEM, "no memory for %zu choices", room);
    }
    unsigned count = 0;
    do {
        char argument[ARGUMENT_LENGTH_MAX];
        bool quoted = false;
        reader.at++; /* '(' or ',' */
        enum troupe_error error = argument_read(&reader, argument, &quoted);
        if (error)
            return error;
        if (count == form->arguments_max)
            return place_fault(place, fault, TROUPE_INVALID, "'%s': too many values; expected %s",
                               variable->name, form->usage);
        error = argument_take(space, variable, count++, argument, quoted, &reader);
        if (error)
            return error;
    } while (text[reader.at] == ',');
    if (text[reader.at] != ')')
        return short_fault(&reader, "expected ',' or ')'");
    reader.at++;
    blanks_skip(&reader);
    if (text[reader.at])
        return short_fault(&reader, "nothing may follow ')'");
    if (count < form->arguments_min)
        return place_fault(place, fault, TROUPE_INVALID, "'%s': %u value%s; expected %s", variable->name,
                           count, count == 1 ? "" : "s", form->usage);
    return form->kind == VARIABLE_CHOICE ? TROUPE_OK : variable_finish_range(variable, place, fault);
}
