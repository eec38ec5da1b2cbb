/* Each allocation refused in turn, on every public call of the simulated env: an error or a second attempt,
 * never a crash, never a leak. */
#include "sim_rig.h"

static void lived(void *arg) {
    env_workers_stop(arg);
}

/* A short life that uses everything; returns the first error. */
static enum troupe_error life(struct env_disk *disk) {
    struct env *env = NULL;
    enum troupe_error error =
        env_sim_create(&rig_account, &(struct env_sim_options){.seed = 1, .disk = disk}, &env);
    if (error)
        return error;
    struct rig_model model = {.talk = rig_echo};
    struct rig_child rig;
    struct fault fault = {0};
    rig_install(env, &model);
    struct env_child_spec spec = rig_spec(&rig, env, rig_program);
    error = env_child_spawn(env, &spec, &rig.child, &fault);
    if (!error)
        error = env_child_write(rig.child, "hello", 5);
    for (unsigned i = 0; !error && i < 70; i++)
        env_sim_at(env, env_now(env) + MS, lived, env);
    if (!error)
        error = env_make_directories(env, "/a/b", &fault);
    if (!error)
        error = env_write_file(env, "/a/b/x", "text", 4, &fault);
    if (!error)
        error = env_copy(env, "/a/b/x", "/y", &fault);
    if (!error)
        error = env_rename(env, "/y", "/z", &fault);
    if (!error)
        error = env_remove_tree(env, "/a");
    if (!error)
        error = rig_wait(env);
    rig_release(&rig);
    env_destroy(env);
    return error;
}

static void every_allocation_refused(void **state) {
    (void)state;
    unsigned refused = 0, told = 0;
    for (int64_t n = 1;; n++) {
        rig_account = (struct account){.name = "test"};
        struct env_disk *disk = NULL;
        memory_fail_after(n);
        enum troupe_error error = env_disk_create(&rig_account, &disk);
        if (!error)
            error = life(disk);
        bool fired = memory_fail_fired();
        memory_fail_after(0);
        if (disk)
            env_disk_power_cut(disk, (uint64_t)n);
        env_disk_free(disk);
        assert_int_equal(rig_account.bytes, 0);
        assert_int_equal(rig_account.blocks, 0);
        assert_true(error == TROUPE_OK || error == TROUPE_NOMEM);
        if (!fired) {
            OK(error);
            break;
        }
        refused++;
        told += error == TROUPE_NOMEM;
    }
    assert_true(refused > 40 && told > 10);
}

static void a_cut_asks_twice(void **state) {
    (void)state;
    for (int64_t n = 1; n < 100; n++) {
        rig_account = (struct account){.name = "test"};
        struct env_disk *disk = NULL;
        OK(env_disk_create(&rig_account, &disk));
        OK(life(disk));
        memory_fail_after(n);
        env_disk_power_cut(disk, 1);
        bool fired = memory_fail_fired();
        memory_fail_after(0);
        env_disk_free(disk);
        assert_int_equal(rig_account.blocks, 0);
        if (!fired)
            break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_refused),
        cmocka_unit_test(a_cut_asks_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
