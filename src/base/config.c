/* Values of the option table: looked up, parsed, bounded and printed from the one list in config.def.
 * Invariants: every value lies within its row's bounds; sources[i] is the highest source that has set option
 *             i.
 * Threads: see the header. Allocates nothing. */
#include "base/config.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

static const struct config_row rows[] = {
#define CONFIG(name, type, normal, low, high, unit, process, help)                                           \
    {#name, CONFIG_##type, normal, low, high, unit, process, help},
#include "base/config.def"
#undef CONFIG
};

#define CONFIG(name, type, normal, low, high, unit, process, help)                                           \
    _Static_assert((low) <= (normal) && (normal) <= (high), #name " has a default outside its bounds");
#include "base/config.def"
#undef CONFIG

/* Longest option name with the TROUPE_ in front and some air. */
#define NAME_MAX_BYTES 64

void config_init(struct config *config) {
    memset(config, 0, sizeof(*config));
    for (size_t i = 0; i < OPTION_COUNT; i++)
        config->values[i] = rows[i].normal;
}

const struct config_row *config_row(enum config_option option) {
    CHECK((unsigned)option < OPTION_COUNT);
    return &rows[option];
}

int64_t config_value(const struct config *config, enum config_option option) {
    CHECK((unsigned)option < OPTION_COUNT);
    return config->values[option];
}

static bool same_name(const char *option, const char *name) {
    for (; *option != '\0'; option++, name++)
        if (*option != (*name == '-' ? '_' : *name))
            return false;
    return *name == '\0';
}

int config_find(const char *name) {
    for (int i = 0; i < OPTION_COUNT; i++)
        if (same_name(rows[i].name, name))
            return i;
    return -1;
}

const char *config_nearest(const char *name) {
    const char *names[OPTION_COUNT];
    char spelled[NAME_MAX_BYTES];
    size_t length = 0;
    for (; name[length] != '\0' && length + 1 < sizeof(spelled); length++)
        spelled[length] = name[length] == '-' ? '_' : name[length];
    spelled[length] = '\0';
    for (size_t i = 0; i < OPTION_COUNT; i++)
        names[i] = rows[i].name;
    return text_nearest(spelled, names, OPTION_COUNT);
}

const char *config_source_name(enum config_source source) {
    static const char *const names[] = {
        [CONFIG_DEFAULT] = "the default",
        [CONFIG_SYSTEM_FILE] = "the system configuration",
        [CONFIG_USER_FILE] = "the user's configuration",
        [CONFIG_PIPELINE_FILE] = "the pipeline file",
        [CONFIG_ENVIRONMENT] = "the environment",
        [CONFIG_COMMAND_LINE] = "the command line",
    };
    CHECK((unsigned)source < ARRAY_COUNT(names));
    return names[source];
}

/* The value in the largest unit that divides it. */
static char *format_exact(char out[32], int64_t value, const char *const *names, const int64_t *factors,
                          size_t count) {
    size_t i = 0;
    while (i + 1 < count && (value == 0 || value % factors[i] != 0))
        i++;
    (void)snprintf(out, 32, "%" PRId64 "%s", value / factors[i], names[i]);
    return out;
}

char *config_format(enum config_option option, int64_t value, char out[32]) {
    static const char *const byte_names[] = {"GiB", "MiB", "KiB", ""};
    static const int64_t byte_factors[] = {1 << 30, 1 << 20, 1 << 10, 1};
    static const char *const time_names[] = {"h", "m", "s", "ms", "us", "ns"};
    static const int64_t time_factors[] = {3600000000000, 60000000000, 1000000000, 1000000, 1000, 1};
    switch (config_row(option)->type) {
    case CONFIG_BYTES:
        return format_exact(out, value, byte_names, byte_factors, ARRAY_COUNT(byte_names));
    case CONFIG_DURATION:
        if (value == 0)
            return strcpy(out, "0s");
        return format_exact(out, value, time_names, time_factors, ARRAY_COUNT(time_names));
    case CONFIG_COUNT:
        break;
    }
    (void)snprintf(out, 32, "%" PRId64, value);
    return out;
}

static bool value_read(const struct config_row *row, const char *text, int64_t *ret) {
    int64_t value;
    enum troupe_error error = row->type == CONFIG_BYTES      ? text_bytes(text, &value)
                              : row->type == CONFIG_DURATION ? text_duration(text, &value)
                                                             : text_int(text, &value);
    if (error != TROUPE_OK || value < row->low || value > row->high)
        return false;
    *ret = value;
    return true;
}

enum troupe_error config_set(struct config *config, enum config_source source, const char *where,
                             const char *name, const char *text, struct fault *fault) {
    int option = config_find(name);
    if (option < 0) {
        const char *nearest = config_nearest(name);
        return fault_set(fault, TROUPE_INVALID, where, "unknown option '%.80s'; %s%s%s", name,
                         nearest == NULL ? "`troupe config` lists all of them" : "did you mean '",
                         nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
    }
    const struct config_row *row = &rows[option];
    if (row->process && source == CONFIG_PIPELINE_FILE)
        return fault_set(
            fault, TROUPE_INVALID, where,
            "%s is an option of the whole process, which a pipeline file may not set; use the command "
            "line, the environment or a configuration file",
            row->name);
    int64_t value;
    if (!value_read(row, text, &value)) {
        static const char *const kinds[] = {"an integer", "a size", "a duration"};
        char low[32], high[32];
        return fault_set(fault, TROUPE_INVALID, where, "%s: expected %s in %s..%s, found '%.80s'", row->name,
                         kinds[row->type], config_format((enum config_option)option, row->low, low),
                         config_format((enum config_option)option, row->high, high), text);
    }
    if (source < config->sources[option])
        return TROUPE_OK;
    config->values[option] = value;
    config->sources[option] = source;
    (void)snprintf(config->where[option], sizeof(config->where[option]), "%s", where);
    return TROUPE_OK;
}

/* "TROUPE_MAILBOX_LEN_MAX=5" into the option's spelling; NULL when it is no TROUPE_ variable. Returns the
 * value. */
static const char *environment_split(const char *entry, char name[NAME_MAX_BYTES]) {
    static const char prefix[] = "TROUPE_";
    if (strncmp(entry, prefix, sizeof(prefix) - 1) != 0)
        return NULL;
    const char *from = entry + sizeof(prefix) - 1;
    size_t length = strcspn(from, "=");
    if (from[length] == '\0' || length >= NAME_MAX_BYTES)
        return NULL;
    for (size_t i = 0; i < length; i++) {
        if (islower((unsigned char)from[i]))
            return NULL; /* an option is written in capitals only */
        name[i] = (char)tolower((unsigned char)from[i]);
    }
    name[length] = '\0';
    return from + length + 1;
}

enum troupe_error config_environment(struct config *config, const char *const *environment,
                                     const char **ret_suspect, struct fault *fault) {
    const char *suspect = NULL;
    for (; *environment != NULL; environment++) {
        char name[NAME_MAX_BYTES], where[NAME_MAX_BYTES + 8];
        const char *value = environment_split(*environment, name);
        if (value == NULL)
            continue;
        if (config_find(name) < 0) {
            if (suspect == NULL && config_nearest(name) != NULL)
                suspect = *environment;
            continue;
        }
        (void)snprintf(where, sizeof(where), "%.*s", (int)(value - *environment - 1), *environment);
        enum troupe_error error = config_set(config, CONFIG_ENVIRONMENT, where, name, value, fault);
        if (error != TROUPE_OK)
            return error;
    }
    *ret_suspect = suspect;
    return TROUPE_OK;
}

void config_write_text(const struct config *config, struct buffer *out) {
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char value[32];
        enum config_source source = config->sources[i];
        buffer_format(out, "%-22s %-10s from %s%s%s%s\n", rows[i].name,
                      config_format((enum config_option)i, config->values[i], value),
                      config_source_name(source), config->where[i][0] == '\0' ? "" : " (", config->where[i],
                      config->where[i][0] == '\0' ? "" : ")");
        buffer_format(out, "%-22s %s\n", "", rows[i].help);
    }
}

void config_write_json(const struct config *config, struct json *json) {
    json_object_begin(json);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        char value[32];
        json_key(json, rows[i].name);
        json_object_begin(json);
        json_field_int(json, "value", config->values[i]);
        json_field_string(json, "unit", rows[i].unit);
        json_field_string(json, "text", config_format((enum config_option)i, config->values[i], value));
        json_field_string(json, "source", config_source_name(config->sources[i]));
        json_field_string(json, "where", config->where[i]);
        json_field_string(json, "help", rows[i].help);
        json_object_end(json);
    }
    json_object_end(json);
}
