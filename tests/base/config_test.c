/* The option table: every order of reading the sources gives the highest one's value, every bound is held,
 * and what is printed reads back. Fails if a source can override a higher one, if a pipeline file can set an
 * option of the process, or if a default does not print as something one could write. */
#include "cmocka_base.h"

#include <ctype.h>
#include <stdio.h>

static const enum config_source sources[] = {CONFIG_SYSTEM_FILE, CONFIG_USER_FILE, CONFIG_PIPELINE_FILE,
                                             CONFIG_ENVIRONMENT, CONFIG_COMMAND_LINE};

static void defaults(void **state) {
    (void)state;
    struct config config;
    config_init(&config);
    assert_int_equal(config_value(&config, OPTION_mailbox_len_max), 1024);
    assert_int_equal(config_value(&config, OPTION_worker_line_max), 1 << 20);
    assert_int_equal(config_value(&config, OPTION_agent_queue_len_max), 64);
    assert_true(config_value(&config, OPTION_stop_grace) == 5000000000);
    assert_int_equal(config_value(&config, OPTION_store_group_rows), 128);
    for (int i = 0; i < OPTION_COUNT; i++)
        assert_int_equal(config.sources[i], CONFIG_DEFAULT);
    assert_int_equal(config_find("stop-grace"), OPTION_stop_grace);
    assert_int_equal(config_find("stop_grace"), OPTION_stop_grace);
    assert_int_equal(config_find("stop_grac"), -1);
    assert_int_equal(config_find("stop_graces"), -1);
    assert_int_equal(config_find(""), -1);
}

/* Default, lowest and highest of every option survive printing and reading; one beyond is refused. */
static void every_row_reads_back(void **state) {
    (void)state;
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct config_row *row = config_row((enum config_option)i);
        const int64_t values[] = {row->normal, row->low, row->high};
        for (size_t v = 0; v < ARRAY_COUNT(values); v++) {
            struct config config;
            char text[32];
            config_init(&config);
            config_format((enum config_option)i, values[v], text);
            assert_int_equal(config_set(&config, CONFIG_COMMAND_LINE, "test", row->name, text, NULL),
                             TROUPE_OK);
            assert_true(config_value(&config, (enum config_option)i) == values[v]);
        }
        struct config config;
        struct fault fault = {0};
        char text[40];
        config_init(&config);
        (void)snprintf(text, sizeof(text), "%lld%s", (long long)row->high + 1,
                       row->type == CONFIG_DURATION ? "ns" : "");
        assert_int_equal(config_set(&config, CONFIG_COMMAND_LINE, "--x", row->name, text, &fault),
                         TROUPE_INVALID);
        assert_string_equal(fault.where, "--x");
        assert_non_null(strstr(fault.text, row->name));
        assert_int_equal(config_set(&config, CONFIG_COMMAND_LINE, "--x", row->name, "many", NULL),
                         TROUPE_INVALID);
        assert_int_equal(config_set(&config, CONFIG_COMMAND_LINE, "--x", row->name, "", NULL),
                         TROUPE_INVALID);
        assert_int_equal(config_set(&config, CONFIG_COMMAND_LINE, "--x", row->name, "-1", NULL),
                         TROUPE_INVALID);
        assert_true(config_value(&config, (enum config_option)i) == row->normal);
        assert_int_equal(config.sources[i], CONFIG_DEFAULT);
    }
}

/* All 120 orders of the five sources, and all 32 subsets of each. */
static void precedence(void **state) {
    (void)state;
    for (unsigned order = 0; order < 3125; order++) {
        unsigned digits[5], used = 0, rest = order;
        for (int i = 0; i < 5; i++, rest /= 5)
            used |= 1U << (digits[i] = rest % 5);
        if (used != 31)
            continue;
        for (unsigned subset = 0; subset < 32; subset++) {
            struct config config;
            int highest = -1;
            config_init(&config);
            for (int i = 0; i < 5; i++) {
                unsigned source = digits[i];
                if ((subset >> source & 1) == 0)
                    continue;
                char text[16], where[16];
                (void)snprintf(text, sizeof(text), "%us", source + 100);
                (void)snprintf(where, sizeof(where), "at %u", source);
                assert_int_equal(config_set(&config, sources[source], where, "stop_grace", text, NULL),
                                 TROUPE_OK);
                highest = (int)source > highest ? (int)source : highest;
            }
            int64_t expected = highest < 0 ? 5 : highest + 100;
            assert_true(config_value(&config, OPTION_stop_grace) == expected * 1000000000);
            assert_int_equal(config.sources[OPTION_stop_grace],
                             highest < 0 ? CONFIG_DEFAULT : sources[highest]);
        }
    }
}

static void messages(void **state) {
    (void)state;
    static const struct {
        enum config_source source;
        const char *name, *text, *expected;
    } cases[] = {
        {CONFIG_COMMAND_LINE, "worker", "4", "unknown option 'worker'; did you mean 'workers'?"},
        {CONFIG_COMMAND_LINE, "stop-grase", "4", "unknown option 'stop-grase'; did you mean 'stop_grace'?"},
        {CONFIG_COMMAND_LINE, "colour", "4", "unknown option 'colour'; `troupe config` lists all of them"},
        {CONFIG_COMMAND_LINE, "workers", "many", "workers: expected an integer in 0..1024, found 'many'"},
        {CONFIG_ENVIRONMENT, "stop_grace", "2h", "stop_grace: expected a duration in 1ms..1h, found '2h'"},
        {CONFIG_USER_FILE, "worker_line_max", "5",
         "worker_line_max: expected a size in 1KiB..256MiB, found '5'"},
        {CONFIG_PIPELINE_FILE, "workers", "4",
         "workers is an option of the whole process, which a pipeline file may not set; use the command "
         "line, the "
         "environment or a configuration file"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct config config;
        struct fault fault = {0};
        config_init(&config);
        assert_int_equal(config_set(&config, cases[i].source, "here", cases[i].name, cases[i].text, &fault),
                         TROUPE_INVALID);
        assert_string_equal(fault.text, cases[i].expected);
        assert_string_equal(fault.where, "here");
    }
    for (int i = 0; i < OPTION_COUNT; i++) {
        struct config config;
        const struct config_row *row = config_row((enum config_option)i);
        char text[32];
        config_init(&config);
        enum troupe_error error = config_set(&config, CONFIG_PIPELINE_FILE, "p.yaml:1:1", row->name,
                                             config_format((enum config_option)i, row->low, text), NULL);
        assert_int_equal(error, row->process ? TROUPE_INVALID : TROUPE_OK);
    }
}

static void environment(void **state) {
    (void)state;
    static const char *const good[] = {
        "PATH=/bin",        "TROUPE_WORKERS=3",        "TROUPE_=1",       "TROUPE_BUILD_ROOT=/x",
        "TROUPE_workers=9", "TROUPE_STOP_GRACE=250ms", "TROUPE_NO_VALUE", NULL};
    struct config config;
    struct fault fault = {0};
    const char *suspect = "unset";
    config_init(&config);
    assert_int_equal(config_environment(&config, good, &suspect, &fault), TROUPE_OK);
    assert_null(suspect);
    assert_int_equal(config_value(&config, OPTION_workers), 3);
    assert_string_equal(config.where[OPTION_workers], "TROUPE_WORKERS");
    assert_true(config_value(&config, OPTION_stop_grace) == 250000000);

    static const char *const misspelt[] = {"TROUPE_WORKRES=3", NULL};
    assert_int_equal(config_environment(&config, misspelt, &suspect, &fault), TROUPE_OK);
    assert_string_equal(suspect, "TROUPE_WORKRES=3");

    static const char *const wrong[] = {"TROUPE_WORKERS=-3", NULL};
    assert_int_equal(config_environment(&config, wrong, &suspect, &fault), TROUPE_INVALID);
    assert_string_equal(fault.where, "TROUPE_WORKERS");
    assert_string_equal(fault.text, "workers: expected an integer in 0..1024, found '-3'");
}

static void printed(void **state) {
    (void)state;
    struct account account = ACCOUNT("test");
    struct buffer text;
    struct config config;
    config_init(&config);
    assert_int_equal(config_set(&config, CONFIG_SYSTEM_FILE, "/etc/troupe/config.yaml:2:1", "worker-line-max",
                                "2MiB", NULL),
                     TROUPE_OK);
    buffer_init(&text, &account, 0);
    config_write_text(&config, &text);
    assert_int_equal(buffer_ok(&text), TROUPE_OK);
    assert_non_null(strstr(buffer_string(&text), "2MiB"));
    assert_non_null(
        strstr(buffer_string(&text), "from the system configuration (/etc/troupe/config.yaml:2:1)\n"));
    for (int i = 0; i < OPTION_COUNT; i++)
        assert_non_null(strstr(buffer_string(&text), config_row((enum config_option)i)->help));
    buffer_clear(&text);
    struct json json;
    json_init(&json, &text);
    config_write_json(&config, &json);
    assert_non_null(strstr(buffer_string(&text),
                           "\"worker_line_max\":{\"value\":2097152,\"unit\":\"bytes\","
                           "\"text\":\"2MiB\",\"source\":\"the system configuration\""));
    buffer_free(&text);
    assert_int_equal(account.bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults), cmocka_unit_test(every_row_reads_back), cmocka_unit_test(precedence),
        cmocka_unit_test(messages), cmocka_unit_test(environment),          cmocka_unit_test(printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
