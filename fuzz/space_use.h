/* space_use: what a compiled space promises about its configurations, checked on a handful of them. Shared by
 * the targets that compile spaces. */
#ifndef FUZZ_SPACE_USE_H
#define FUZZ_SPACE_USE_H

#include "fuzz.h"

#include "space/space.h"

#include <math.h>

/* Writes one, reads it back and compares; `account` is empty again afterwards. */
static inline void space_use_one(const struct space *space, const struct configuration *configuration,
                                 struct account *account) {
    struct buffer text;
    struct json json;
    struct document *document = NULL;
    struct configuration again = {0};
    struct fault fault = {0};
    char value[512];
    CHECK(configuration->count == space_count(space));
    for (unsigned i = 0; i < space_count(space); i++) {
        const struct variable *variable = space_variable(space, i);
        double here = configuration->values[i];
        if (isnan(here))
            continue;
        double unit = space_to_unit(variable, here), back = space_from_unit(variable, unit);
        CHECK(unit >= 0 && unit <= 1);
        CHECK(space_value_text(variable, here, value, sizeof value)[0] != '\0' ||
              variable->kind == VARIABLE_CHOICE);
        if (isfinite(variable->levels) && variable->levels < 1e9)
            CHECK(back == here);
    }
    buffer_init(&text, account, 0);
    json_init(&json, &text);
    space_write_json(space, configuration, &json);
    CHECK(buffer_ok(&text) == TROUPE_OK);
    CHECK(document_parse_json(text.bytes, text.length, "written", NULL, &document, &fault) == TROUPE_OK);
    CHECK(space_read_json(space, document_root(document), &again, &fault) == TROUPE_OK);
    for (unsigned i = 0; i < space_count(space); i++)
        CHECK(again.values[i] == configuration->values[i] ||
              (isnan(again.values[i]) && isnan(configuration->values[i])));
    document_free(document);
    buffer_free(&text);
}

static inline void space_use_stream(const struct space *space, struct account *account) {
    struct space_stream stream;
    struct configuration configuration = {0};
    if (space_cardinality(space) > 5000) /* finding that nothing is feasible would take too long */
        return;
    space_stream_init(&stream, space, 2);
    for (unsigned i = 0; i < 8 && space_stream_next(&stream, &configuration); i++) {
        CHECK(space_feasible(space, &configuration));
        space_use_one(space, &configuration, account);
    }
}

static inline void space_use(const struct space *space, struct account *account) {
    struct configuration configuration = {0};
    struct random_stream random;
    struct fault fault = {0};
    struct buffer text;
    struct json json;
    struct document *document = NULL;
    CHECK(space_cardinality(space) >= 1);
    IGNORE(space_hash(space) == 0, "any number is a hash");
    space_default(space, &configuration);
    random_seed(&random, 1, 2);
    for (unsigned i = 0; i < 4; i++) {
        enum troupe_error error = space_draw(space, &random, 20, &configuration, &fault);
        if (error != TROUPE_OK) {
            fuzz_refused(error, &fault, NULL);
            break;
        }
        CHECK(space_feasible(space, &configuration));
        space_use_one(space, &configuration, account);
    }
    space_use_stream(space, account);
    buffer_init(&text, account, 0);
    json_init(&json, &text);
    space_write_schema(space, &json);
    CHECK(buffer_ok(&text) == TROUPE_OK);
    CHECK(document_parse_json(text.bytes, text.length, "schema", NULL, &document, &fault) == TROUPE_OK);
    document_free(document);
    buffer_free(&text);
}

#endif
