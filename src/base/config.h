/* The option table (config.def) and the values in force, each with the source it came from.
 *
 * Precedence: command line > TROUPE_* environment > pipeline file > user configuration > /etc/troupe >
 * default. Sources may be read in any order: a lower one never replaces a higher one, the same one replaces
 * itself.
 * Threads: filled in at start by one thread, read-only from then on.
 * Memory:  plain data, no allocation.
 * Failure: INVALID with where it was written and what was expected. Files and the environment are read by
 *          the caller; this floor sees text only. */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"

#define CONFIG_KIB(n) (INT64_C(n) << 10)
#define CONFIG_MIB(n) (INT64_C(n) << 20)
#define CONFIG_GIB(n) ((int64_t)(n) << 30)
#define CONFIG_SECONDS(n) (INT64_C(n) * 1000000000)

/* OPTION_workers, OPTION_mailbox_len_max, ...: spelled as the option, so that a search finds every use. */
enum config_option {
#define CONFIG(name, type, normal, low, high, unit, process, help) OPTION_##name,
#include "base/config.def"
#undef CONFIG
    OPTION_COUNT
};

enum config_type { CONFIG_COUNT, CONFIG_BYTES, CONFIG_DURATION };

enum config_source { /* lowest precedence first */
                     CONFIG_DEFAULT,
                     CONFIG_SYSTEM_FILE,
                     CONFIG_USER_FILE,
                     CONFIG_PIPELINE_FILE,
                     CONFIG_ENVIRONMENT,
                     CONFIG_COMMAND_LINE
};

struct config_row {
    const char *name;
    enum config_type type;
    int64_t normal, low, high;
    const char *unit;
    bool process; /* not to be set by a pipeline file */
    const char *help;
};

struct config {
    int64_t values[OPTION_COUNT];
    enum config_source sources[OPTION_COUNT];
    char where[OPTION_COUNT][128]; /* "/etc/troupe/config.yaml:3:1", "TROUPE_WORKERS"; empty for defaults */
};

void config_init(struct config *config); /* all defaults */
const struct config_row *config_row(enum config_option option);
int64_t config_value(const struct config *config, enum config_option option); /* count, bytes or ns */
/* The option called `name`, dashes or underscores; -1: none. */
int config_find(const char *name);
/* The option whose name is nearest, for "did you mean"; NULL: none. */
const char *config_nearest(const char *name);
const char *config_source_name(enum config_source source); /* "the command line" */

/* One option from text ("1MiB", "5s", "4"). Unknown names, wrong values and process options from a pipeline
 * file are INVALID. A valid value of lower precedence than the one in force is checked and dropped. */
MUST_CHECK enum troupe_error config_set(struct config *config, enum config_source source, const char *where,
                                        const char *name, const char *text, struct fault *fault);
/* From "NAME=value" texts (NULL-terminated, as the environment is handed over). Only names that are an option
 * count: other TROUPE_ variables have other uses. One of those that looks like a misspelt option is returned
 * in *ret_suspect for a warning (NULL: none). */
MUST_CHECK enum troupe_error config_environment(struct config *config, const char *const *environment,
                                                const char **ret_suspect, struct fault *fault);

/* The value of `option` as one would write it: "1MiB", "5s", "4". */
char *config_format(enum config_option option, int64_t value, char out[32]);
/* `troupe config`: one line an option: name, value, source, help. */
void config_write_text(const struct config *config, struct buffer *out);
void config_write_json(const struct config *config, struct json *json);

#endif
