/* The simulated disk: what survives a power cut is exactly what was promised, plus chance. If this fails, the
 * tests of the store and of resume prove nothing.
 *
 * Checked against a naive model of what is allowed: a synced byte is there; an unsynced sector shows one of
 * the states it went through; a rename happened or not; chance takes every way out. */
#include "sim_rig.h"

#include "env/env_internal.h"

#define SECTORS 8
#define FILE_BYTES (SECTORS * 512)

static struct env_disk *disk_new(void) {
    struct env_disk *disk = NULL;
    rig_account = (struct account){.name = "test"};
    OK(env_disk_create(&rig_account, &disk));
    return disk;
}

static struct env *disk_env(struct env_disk *disk, uint64_t seed, struct env_faults faults) {
    struct env *env = NULL;
    struct env_sim_options options = {.seed = seed, .disk = disk, .faults = faults};
    OK(env_sim_create(&rig_account, &options, &env));
    return env;
}

static void disk_end(struct env_disk *disk) {
    env_disk_free(disk);
    assert_int_equal(rig_account.bytes, 0);
    assert_int_equal(rig_account.blocks, 0);
}

static struct env_file *file_open(struct env *env, const char *path, unsigned flags) {
    struct env_file *file = NULL;
    OK(env_file_open(env, path, flags, &file, NULL));
    return file;
}

static size_t file_read(struct env *env, const char *path, unsigned char *ret, size_t size) {
    size_t length = 0;
    struct env_file *file = file_open(env, path, ENV_FILE_READ);
    OK(env_file_read(file, 0, ret, size, &length));
    env_file_close(file);
    return length;
}

static bool there(struct env *env, const char *path) {
    struct env_info info;
    OK(env_info(env, path, &info));
    return info.exists;
}

/* ---- bytes ---- */

enum { ALL = ENV_FILE_READ | ENV_FILE_WRITE | ENV_FILE_CREATE };

/* States that each byte went through since the last sync, as a set of values. */
struct history {
    unsigned char now[FILE_BYTES];
    bool seen[FILE_BYTES][256];
};

static void history_synced(struct history *history) {
    memset(history->seen, 0, sizeof history->seen);
    for (unsigned i = 0; i < FILE_BYTES; i++)
        history->seen[i][history->now[i]] = true;
}

static void bytes_are_synced_or_chance(void **state) {
    (void)state;
    static struct history history;
    unsigned old_sectors = 0, new_sectors = 0, torn_writes = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct random_stream random;
        random_seed(&random, seed, 0);
        struct env_disk *disk = disk_new();
        struct env *env = disk_env(disk, seed, (struct env_faults){0});
        struct env_file *file = file_open(env, "/data", ALL);
        OK(env_sync_directory(env, "/"));
        memset(&history, 0, sizeof history);
        unsigned char block[FILE_BYTES] = {0};
        OK(env_file_write(file, 0, block, FILE_BYTES));
        OK(env_file_sync(file));
        history_synced(&history);
        unsigned last_from = 0, last_length = 0;
        for (uint64_t op = 1 + random_below(&random, 20); op-- > 0;) {
            if (random_below(&random, 6) == 0) {
                OK(env_file_sync(file));
                history_synced(&history);
                last_length = 0;
                continue;
            }
            last_from = (unsigned)random_below(&random, FILE_BYTES);
            last_length = 1 + (unsigned)random_below(&random, FILE_BYTES - last_from);
            unsigned char value = (unsigned char)(1 + random_below(&random, 255));
            memset(block, value, last_length);
            OK(env_file_write(file, last_from, block, last_length));
            for (unsigned i = last_from; i < last_from + last_length; i++) {
                history.now[i] = value;
                history.seen[i][value] = true;
            }
        }
        env_file_close(file);
        env_destroy(env);
        env_disk_power_cut(disk, seed * 31);
        env = disk_env(disk, seed, (struct env_faults){0});
        assert_int_equal(file_read(env, "/data", block, sizeof block), FILE_BYTES);
        for (unsigned i = 0; i < FILE_BYTES; i++)
            if (!history.seen[i][block[i]])
                fail_msg("seed %u: byte %u holds %u, which it never held since the sync", (unsigned)seed, i,
                         block[i]);
        unsigned same = 0, total = 0;
        for (unsigned i = last_from; i < last_from + last_length; i += 512, total++)
            same += block[i] == history.now[i];
        new_sectors += same;
        old_sectors += total - same;
        torn_writes += same > 0 && same < total;
        env_destroy(env);
        disk_end(disk);
    }
    assert_true(old_sectors > 100 && new_sectors > 100 && torn_writes > 20); /* chance takes every way out */
}

static void a_new_file_is_whole_or_part_or_gone(void **state) {
    (void)state;
    unsigned gone = 0, empty = 0, part = 0, whole = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct env_disk *disk = disk_new();
        struct env *env = disk_env(disk, 1, (struct env_faults){0});
        struct env_file *file = file_open(env, "/data", ALL);
        unsigned char block[FILE_BYTES];
        memset(block, 1, sizeof block);
        OK(env_file_append(file, block, sizeof block));
        env_file_close(file);
        env_destroy(env);
        env_disk_power_cut(disk, seed);
        env = disk_env(disk, 1, (struct env_faults){0});
        if (!there(env, "/data")) {
            gone++;
        } else {
            size_t length = file_read(env, "/data", block, sizeof block), ones = 0;
            for (size_t i = 0; i < length; i++)
                ones += block[i];
            whole += ones == FILE_BYTES;
            empty += length == 0;
            part += length > 0 && ones < FILE_BYTES;
        }
        env_destroy(env);
        disk_end(disk);
    }
    assert_true(gone > 50 && empty > 20 && part > 20 && whole > 20);
}

static void truncations_are_not_missing_below_later_writes(void **state) {
    (void)state;
    unsigned lengths[3] = {0}; /* old, cut, refilled */
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct env_disk *disk = disk_new();
        struct env *env = disk_env(disk, 1, (struct env_faults){0});
        OK(env_write_file(env, "/data", "0123456789", 10, NULL));
        struct env_file *file = file_open(env, "/data", ENV_FILE_WRITE);
        OK(env_file_truncate(file, 0));
        OK(env_file_append(file, "abc", 3));
        env_file_close(file);
        env_destroy(env);
        env_disk_power_cut(disk, seed);
        env = disk_env(disk, 1, (struct env_faults){0});
        unsigned char block[16] = {0};
        size_t length = file_read(env, "/data", block, sizeof block);
        if (length == 10)
            assert_memory_equal(block, "0123456789", 10);
        else if (length == 3)
            assert_memory_equal(block, "abc", 3);
        else
            assert_int_equal(length, 0);
        lengths[length == 10 ? 0 : length == 0 ? 1 : 2]++;
        env_destroy(env);
        disk_end(disk);
    }
    assert_true(lengths[0] > 20 && lengths[1] > 20 && lengths[2] > 20);
}

/* ---- names ---- */

static void a_written_file_is_old_or_new(void **state) {
    (void)state;
    unsigned old = 0, new = 0;
    for (uint64_t cut = 1; cut < 40; cut++) {
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct env_disk *disk = disk_new();
            struct env *env = disk_env(disk, 1, (struct env_faults){0});
            OK(env_make_directories(env, "/runs/one", NULL));
            OK(env_write_file(env, "/runs/one/config", "old", 3, NULL));
            env_destroy(env);
            env = disk_env(disk, 2, (struct env_faults){.power_cut_after_events = cut});
            enum troupe_error error = env_write_file(env, "/runs/one/config", "newer", 5, NULL);
            env_destroy(env);
            env_disk_power_cut(disk, seed);
            env = disk_env(disk, 3, (struct env_faults){0});
            unsigned char block[16];
            size_t length = file_read(env, "/runs/one/config", block, sizeof block);
            if (length == 3)
                assert_memory_equal(block, "old", 3);
            else
                assert_memory_equal(block, "newer", length == 5 ? 5 : 99);
            assert_true(error || length == 5); /* said to be there is there */
            old += length == 3;
            new += length == 5;
            env_destroy(env);
            disk_end(disk);
        }
    }
    assert_true(old > 20 && new > 20);
}

static void a_rename_is_one_step(void **state) {
    (void)state;
    unsigned first = 0, second = 0, third = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct env_disk *disk = disk_new();
        struct env *env = disk_env(disk, 1, (struct env_faults){0});
        OK(env_make_directories(env, "/a", NULL));
        OK(env_make_directories(env, "/b", NULL));
        OK(env_write_file(env, "/a/x", "1", 1, NULL));
        OK(env_rename(env, "/a/x", "/b/y", NULL));
        OK(env_rename(env, "/b/y", "/b/z", NULL));
        assert_false(there(env, "/a/x"));
        assert_true(there(env, "/b/z"));
        env_destroy(env);
        env_disk_power_cut(disk, seed);
        env = disk_env(disk, 1, (struct env_faults){0});
        unsigned x = there(env, "/a/x"), y = there(env, "/b/y"), z = there(env, "/b/z");
        assert_int_equal(x + y + z, 1);
        first += x;
        second += y;
        third += z;
        env_destroy(env);
        disk_end(disk);
    }
    assert_true(first > 30 && second > 30 && third > 30);
}

static void an_unsynced_name_may_be_lost(void **state) {
    (void)state;
    unsigned lost = 0, back = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct env_disk *disk = disk_new();
        struct env *env = disk_env(disk, 1, (struct env_faults){0});
        OK(env_write_file(env, "/kept", "1", 1, NULL));
        OK(env_write_file(env, "/removed", "1", 1, NULL));
        OK(env_remove(env, "/removed"));
        struct env_file *file = file_open(env, "/new", ALL);
        OK(env_file_write(file, 0, "1", 1));
        OK(env_file_sync(file)); /* keeps the bytes, not the name */
        env_file_close(file);
        env_destroy(env);
        env_disk_power_cut(disk, seed);
        env = disk_env(disk, 1, (struct env_faults){0});
        assert_true(there(env, "/kept"));
        lost += !there(env, "/new");
        back += there(env, "/removed");
        if (there(env, "/new")) {
            unsigned char byte = 0;
            assert_int_equal(file_read(env, "/new", &byte, 1), 1);
        }
        env_destroy(env);
        disk_end(disk);
    }
    assert_in_range(lost, 40, 160);
    assert_in_range(back, 40, 160);
}

static void a_lost_directory_takes_what_is_in_it(void **state) {
    (void)state;
    unsigned lost = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct env_disk *disk = disk_new();
        struct env *env = disk_env(disk, 1, (struct env_faults){0});
        OK(env_make_directories(env, "/a/b", NULL));
        OK(env_write_file(env, "/a/b/x", "1", 1, NULL));
        OK(env_rename(env, "/a/b", "/c", NULL));
        OK(env_remove(env, "/a"));
        OK(env_remove_tree(env, "/c"));
        assert_false(there(env, "/c/x"));
        env_destroy(env);
        env_disk_power_cut(disk, seed);
        env = disk_env(disk, 1, (struct env_faults){0});
        unsigned x = there(env, "/a/b/x") + there(env, "/c/x");
        assert_true(x <= 1);
        lost += !x;
        env_destroy(env);
        disk_end(disk);
    }
    assert_in_range(lost, 5, 95);
}

/* A random walk over names and files: whatever it leaves, the disk's memory is accounted for after every cut,
 * and what was there and synced with all its directories is there. */
static void any_walk_survives(void **state) {
    (void)state;
    static const char *const paths[] = {"/a",   "/b",     "/a/c",   "/a/d",   "/b/c",
                                        "/b/e", "/a/c/x", "/a/d/y", "/b/e/z", "/w"};
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct random_stream random;
        random_seed(&random, seed, 0);
        struct env_disk *disk = disk_new();
        for (unsigned life = 0; life < 3; life++) {
            struct env *env = disk_env(disk, seed, (struct env_faults){.disk_write_fails = 0.02});
            for (unsigned op = 0; op < 60; op++) {
                const char *path = paths[random_below(&random, ARRAY_COUNT(paths))],
                           *other = paths[random_below(&random, ARRAY_COUNT(paths))];
                switch (random_below(&random, 6)) {
                case 0:
                    IGNORE(env->operations->make_directory(env, path, NULL), "any outcome");
                    break;
                case 1:
                    IGNORE(env_rename(env, path, other, NULL), "any outcome");
                    break;
                case 2:
                    IGNORE(env_remove(env, path), "any outcome");
                    break;
                case 3:
                    IGNORE(env_sync_directory(env, path), "any outcome");
                    break;
                default:
                    IGNORE(env_write_file(env, path, path, strlen(path), NULL), "any outcome");
                }
            }
            env_destroy(env);
            env_disk_power_cut(disk, random_u64(&random));
            env = disk_env(disk, seed, (struct env_faults){0});
            for (unsigned i = 0; i < ARRAY_COUNT(paths); i++) {
                struct env_info info;
                OK(env_info(env, paths[i], &info));
                struct buffer text;
                buffer_init(&text, &rig_account, 4096);
                if (info.exists && !info.directory)
                    OK(env_read_file(env, paths[i], &text, NULL));
                buffer_free(&text);
            }
            env_destroy(env);
        }
        disk_end(disk);
    }
}

static void unsettled_lists_have_a_bound(void **state) {
    (void)state;
    struct env_disk *disk = disk_new();
    struct env *env = disk_env(disk, 1, (struct env_faults){0});
    struct env_file *file = file_open(env, "/log", ALL);
    for (unsigned i = 0; i < 20000; i++) {
        char path[32];
        snprintf(path, sizeof path, "/file-%u", i);
        env_file_close(file_open(env, path, ENV_FILE_WRITE | ENV_FILE_CREATE));
        OK(env_file_append(file, "x", 1));
    }
    env_file_close(file);
    env_destroy(env);
    env_disk_power_cut(disk, 1);
    env = disk_env(disk, 1, (struct env_faults){0});
    assert_true(there(env, "/file-0")); /* so old that it was written back */
    struct env_info info;
    OK(env_info(env, "/log", &info));
    assert_true(info.bytes >= 20000 - 4096);
    env_destroy(env);
    disk_end(disk);
}

/* ---- faults ---- */

static void every_disk_fault_happens(void **state) {
    (void)state;
    struct env_disk *disk = disk_new();
    struct env *env = disk_env(disk, 1, (struct env_faults){.disk_write_fails = 0.2, .disk_sync_fails = 0.2});
    unsigned opens = 0, writes = 0, partial = 0, syncs = 0, directories = 0;
    for (unsigned i = 0; i < 500; i++) {
        char path[32];
        struct env_file *file = NULL;
        snprintf(path, sizeof path, "/file-%u", i);
        enum troupe_error error = env_file_open(env, path, ALL, &file, NULL);
        if (error) {
            assert_int_equal(error, TROUPE_IO);
            assert_false(there(env, path));
            opens++;
            continue;
        }
        uint64_t bytes = 0;
        if (env_file_write(file, 0, "0123456789", 10) == TROUPE_IO) {
            OK(env_file_size(file, &bytes));
            writes++;
            partial += bytes > 0 && bytes < 10;
        }
        syncs += env_file_sync(file) == TROUPE_IO;
        directories += env_sync_directory(env, "/") == TROUPE_IO;
        env_file_close(file);
    }
    assert_in_range(opens, 50, 150);
    assert_in_range(writes, 40, 150);
    assert_in_range(partial, 20, 150);
    assert_in_range(syncs, 40, 150);
    assert_in_range(directories, 40, 150);
    env_destroy(env);
    disk_end(disk);
}

/* What a failed sync lost stays lost, although the machine still shows it and a second sync says OK. */
/* A directory whose name could not be made durable is not left for the next one to take for durable. */
static void a_directory_is_durable_or_not_made(void **state) {
    (void)state;
    unsigned failed = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct env_disk *disk = disk_new();
        struct env *env = disk_env(disk, seed, (struct env_faults){.disk_sync_fails = 0.5});
        while (env_make_directories(env, "/a/b/c", NULL) != TROUPE_OK)
            failed++;
        env_destroy(env);
        env_disk_power_cut(disk, seed);
        env = disk_env(disk, seed, (struct env_faults){0});
        assert_true(there(env, "/a/b/c"));
        env_destroy(env);
        disk_end(disk);
    }
    assert_true(failed > 100);
}

static void a_failed_sync_is_not_made_good(void **state) {
    (void)state;
    unsigned lost = 0, failed = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct env_disk *disk = disk_new();
        struct env *env = disk_env(disk, seed, (struct env_faults){.disk_sync_fails = 0.5});
        struct env_file *file = file_open(env, "/data", ALL);
        while (env_sync_directory(env, "/"))
            ;
        OK(env_file_write(file, 0, "x", 1));
        bool once = env_file_sync(file) != TROUPE_OK;
        while (env_file_sync(file))
            ;
        unsigned char byte = 0;
        size_t length;
        OK(env_file_read(file, 0, &byte, 1, &length));
        assert_int_equal(byte, 'x');
        env_file_close(file);
        env_destroy(env);
        env_disk_power_cut(disk, seed);
        env = disk_env(disk, seed, (struct env_faults){0});
        length = file_read(env, "/data", &byte, 1);
        failed += once;
        lost += length == 0;
        assert_true(length == 1 || once);
        env_destroy(env);
        disk_end(disk);
    }
    assert_true(failed > 100 && lost > 30 && lost < failed - 30);
}

static void a_disk_can_be_full(void **state) {
    (void)state;
    struct env_disk *disk = disk_new();
    struct env *env = disk_env(disk, 1, (struct env_faults){.disk_bytes_max = 1000});
    struct env_file *file = file_open(env, "/data", ALL);
    char block[600] = {0};
    uint64_t bytes = 0;
    OK(env_file_write(file, 0, block, 600));
    OK(env_file_write(file, 0, block, 600)); /* over itself costs nothing */
    assert_int_equal(env_file_write(file, 600, block, 600), TROUPE_DISK_FULL);
    OK(env_file_size(file, &bytes));
    assert_int_equal(bytes, 1000); /* what fitted is there */
    assert_int_equal(env_file_truncate(file, 2000), TROUPE_DISK_FULL);
    OK(env_file_truncate(file, 100));
    OK(env_file_append(file, block, 600));
    OK(env_remove(env, "/data")); /* open: its space is still taken */
    struct env_file *other = file_open(env, "/other", ALL);
    assert_int_equal(env_file_write(other, 0, block, 600), TROUPE_DISK_FULL);
    env_file_close(file);
    OK(env_file_write(other, 0, block, 600));
    env_file_close(other);
    env_destroy(env);
    disk_end(disk);
}

/* ---- calls ---- */

static void calls_answer_as_a_real_disk_does(void **state) {
    (void)state;
    struct env_disk *disk = disk_new();
    struct env *env = disk_env(disk, 1, (struct env_faults){0});
    struct env_file *file = NULL, *other = NULL;
    struct fault fault = {0};
    char path[64];
    assert_int_equal(env_file_open(env, "/no", ENV_FILE_READ, &file, &fault), TROUPE_NOT_FOUND);
    assert_string_equal(fault.where, "/no");
    assert_int_equal(env_file_open(env, "", ENV_FILE_READ, &file, NULL), TROUPE_NOT_FOUND);
    assert_int_equal(env_file_open(env, "/no/x", ALL, &file, NULL), TROUPE_NOT_FOUND);
    assert_int_equal(env_file_open(env, "/", ENV_FILE_READ, &file, NULL), TROUPE_IO);
    OK(env_make_directories(env, "d/./e", NULL));
    OK(env_make_directories(env, "/d/e", NULL));
    OK(env_write_file(env, "d/e/../x", "abc", 3, NULL));
    OK(env_absolute(env, "d/x", path, sizeof path));
    assert_string_equal(path, "/d/x");
    assert_int_equal(env_make_directories(env, "/d/x/y", NULL), TROUPE_EXISTS);
    assert_int_equal(env_file_open(env, "/d/x/y", ALL, &file, NULL), TROUPE_NOT_FOUND);
    assert_int_equal(env_file_open(env, "/d/x", ALL | ENV_FILE_EXCLUSIVE, &file, NULL), TROUPE_EXISTS);
    assert_int_equal(env_remove(env, "/d"), TROUPE_EXISTS);
    assert_int_equal(env_remove(env, "/no"), TROUPE_NOT_FOUND);
    assert_int_equal(env_rename(env, "/no", "/d/z", NULL), TROUPE_NOT_FOUND);
    assert_int_equal(env_rename(env, "/d", "/d/e/f", NULL), TROUPE_IO);
    assert_int_equal(env_rename(env, "/d/x", "/d/e", NULL), TROUPE_IO);
    assert_int_equal(env_rename(env, "/d/e", "/d/x", NULL), TROUPE_NOT_FOUND);
    OK(env_rename(env, "/d/x", "/d/x", NULL));
    OK(env_copy(env, "/d/x", "/d/e/copy", NULL));
    assert_int_equal(env_rename(env, "/d/e", "/d", NULL), TROUPE_EXISTS);
    assert_int_equal(env_sync_directory(env, "/d/x"), TROUPE_NOT_FOUND);
    file = file_open(env, "/d/x", ENV_FILE_READ);
    assert_int_equal(env_file_write(file, 0, "x", 1), TROUPE_IO);
    assert_int_equal(env_file_truncate(file, 0), TROUPE_IO);
    OK(env_file_lock(file, NULL));
    OK(env_file_lock(file, NULL));
    other = file_open(env, "/d/x", ENV_FILE_APPEND);
    assert_int_equal(env_file_lock(other, &fault), TROUPE_LOCKED);
    assert_non_null(strstr(fault.text, "pid"));
    assert_true(env_file_locked(other));
    env_file_close(file);
    assert_false(env_file_locked(other));
    OK(env_file_lock(other, NULL));
    OK(env_file_append(other, "def", 3));
    env_file_close(other);
    unsigned char text[8];
    assert_int_equal(file_read(env, "/d/x", text, 8), 6);
    assert_memory_equal(text, "abcdef", 6);
    file = file_open(env, "/d/x", ENV_FILE_WRITE | ENV_FILE_TRUNCATE);
    env_file_close(file);
    assert_int_equal(file_read(env, "/d/x", text, 8), 0);
    OK(env_remove_tree(env, "/d"));
    assert_false(there(env, "/d"));
    env_destroy(env);
    disk_end(disk);
}

static bool names_note(void *context, const char *name) {
    struct buffer *names = context;
    buffer_format(names, "%s ", name);
    return true;
}

static void names_come_in_order(void **state) {
    (void)state;
    struct env_disk *disk = disk_new();
    struct env *env = disk_env(disk, 1, (struct env_faults){0});
    struct buffer names;
    buffer_init(&names, &rig_account, 0);
    OK(env_write_file(env, "/b", "", 0, NULL));
    OK(env_write_file(env, "/a", "", 0, NULL));
    OK(env_write_file(env, "/c", "", 0, NULL));
    OK(env_remove(env, "/b"));
    OK(env_list(env, "/", names_note, &names));
    assert_string_equal(buffer_string(&names), "a c ");
    assert_int_equal(env_list(env, "/a", names_note, &names), TROUPE_NOT_FOUND);
    buffer_free(&names);
    env_destroy(env);
    disk_end(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_synced_or_chance),
        cmocka_unit_test(a_new_file_is_whole_or_part_or_gone),
        cmocka_unit_test(truncations_are_not_missing_below_later_writes),
        cmocka_unit_test(a_written_file_is_old_or_new),
        cmocka_unit_test(a_rename_is_one_step),
        cmocka_unit_test(an_unsynced_name_may_be_lost),
        cmocka_unit_test(a_lost_directory_takes_what_is_in_it),
        cmocka_unit_test(any_walk_survives),
        cmocka_unit_test(unsettled_lists_have_a_bound),
        cmocka_unit_test(every_disk_fault_happens),
        cmocka_unit_test(a_directory_is_durable_or_not_made),
        cmocka_unit_test(a_failed_sync_is_not_made_good),
        cmocka_unit_test(a_disk_can_be_full),
        cmocka_unit_test(calls_answer_as_a_real_disk_does),
        cmocka_unit_test(names_come_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
