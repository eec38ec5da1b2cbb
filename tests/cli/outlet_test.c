/* The outlet: everything said within its bound arrives, in order and once; past the bound whole lines are
 * dropped and counted; a reader that left harms nobody. Fails if a slow reader could hold up the speaker, or if
 * what a job had not yet written were lost at the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/outlet.h"

struct rig {
    struct account account;
    struct env *env;
    struct outlet *outlet;
    FILE *file;
};

static void rig_open(struct rig *rig, FILE *file) {
    *rig = (struct rig){.account = ACCOUNT("test"), .file = file};
    assert_non_null(file);
    assert_int_equal(env_os_create(&rig->account, &rig->env), TROUPE_OK);
    assert_int_equal(outlet_create(rig->env, &rig->account, file, &rig->outlet), TROUPE_OK);
}

static void rig_close(struct rig *rig) {
    outlet_close(rig->outlet);
    env_destroy(rig->env);
    assert_int_equal(rig->account.bytes, 0);
}

static void add(struct rig *rig, const char *text) {
    outlet_add(rig->outlet, text, strlen(text));
}

static void in_order_and_once(void **state) {
    (void)state;
    struct rig rig;
    char line[32], read[32];
    rig_open(&rig, tmpfile());
    for (int i = 0; i < 20000; i++) {
        snprintf(line, sizeof line, "line %d\n", i);
        add(&rig, line);
        if (i % 7 == 0)
            outlet_flush(rig.outlet);
    }
    rig_close(&rig);
    rewind(rig.file);
    for (int i = 0; i < 20000; i++) {
        snprintf(line, sizeof line, "line %d\n", i);
        assert_non_null(fgets(read, sizeof read, rig.file));
        assert_string_equal(read, line);
    }
    assert_null(fgets(read, sizeof read, rig.file));
    fclose(rig.file);
}

/* A pipe that nobody reads: the job waits in its write, the speaker never does. */
static void a_reader_that_does_not_read(void **state) {
    (void)state;
    struct rig rig;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    rig_open(&rig, fdopen(ends[1], "w"));
    char line[1024];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    size_t said = 0;
    for (int i = 0; i < 4096; i++) { /* 4 MiB */
        outlet_add(rig.outlet, line, sizeof line);
        outlet_flush(rig.outlet);
        said++;
    }
    assert_true(outlet_busy(rig.outlet));
    assert_true(rig.account.bytes < 8 << 20);
    close(ends[0]); /* the reader leaves: the write ends, the rest has nowhere to go */
    rig_close(&rig);
    fclose(rig.file);
    assert_int_equal(said, 4096);
}

static void what_is_dropped_is_counted(void **state) {
    (void)state;
    struct rig rig;
    char line[1024], read[1200];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    rig_open(&rig, tmpfile());
    for (int i = 0; i < 1100; i++) /* without a flush: past the bound of 1 MiB */
        outlet_add(rig.outlet, line, sizeof line);
    rig_close(&rig);
    rewind(rig.file);
    int lines = 0;
    while (fgets(read, sizeof read, rig.file) != NULL && read[0] == 'x')
        lines++;
    assert_int_equal(lines, 1023);
    assert_string_equal(read, "(77 lines were dropped: nobody read them in time)\n");
    fclose(rig.file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_and_once),
        cmocka_unit_test(a_reader_that_does_not_read),
        cmocka_unit_test(what_is_dropped_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
