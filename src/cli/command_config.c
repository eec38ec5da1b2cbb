/* `troupe config`: each option of the process, its value, and the source it came from. */
#include "cli/command.h"

struct config_values {
    bool json;
};
static const struct option_row rows[] = {
    {OPTION_FLAG(struct config_values, json, "json", 0, "one JSON object")},
};
static const struct option_table options = {
    .rows = rows, .count = ARRAY_COUNT(rows), .process_options = true};
const struct command_page page_config = {
    &options,
    "Options come from, highest first: the command line (--stop-grace 10s), the\n"
    "environment (TROUPE_STOP_GRACE=10s), `options:` of a pipeline file,\n"
    "~/.config/troupe/config.yaml, /etc/troupe/config.yaml, the defaults.\n",
    "  troupe config\n  TROUPE_WORKERS=2 troupe config --json\n"};

enum troupe_error command_config(struct session *session, int argc, const char *const *argv,
                                 struct fault *fault) {
    struct config_values values = {0};
    struct option_words words = {.argc = argc, .argv = argv};
    enum troupe_error error =
        option_table_parse(&options, &session->arena, &words, &values, &session->config, fault);
    if (error != TROUPE_OK)
        return error;
    struct buffer text;
    buffer_init(&text, session->account, 1 << 20);
    if (values.json) {
        struct json json;
        json_init(&json, &text);
        config_write_json(&session->config, &json);
        buffer_text(&text, "\n");
    } else {
        config_write_text(&session->config, &text);
    }
    error = session_print(&text, fault);
    buffer_free(&text);
    return error;
}
