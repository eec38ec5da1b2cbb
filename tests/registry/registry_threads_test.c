/* Threads that read and write at once while tables grow: what stays is always found, histories of one key are
 * linearizable, compare-and-set loses nothing. Meant for the thread and address sanitizers too.
 * What a failure means: a look-up that misses a row while it moves, a torn or freed row, two holders. */
#include "registry_rig.h"

#include <pthread.h>
#include <stdlib.h>

#define STABLE 300U

static struct rig rig;
static actor_ref actors[4];
static _Atomic bool stop;

static void volatile_name(unsigned writer, unsigned at, char name[32]) {
    snprintf(name, 32, "volatile-%u-%u", writer, at);
}

/* Registers; waits for readers that are late. Who is a reader itself holds nothing now. */
#define NO_READER UINT32_MAX
static enum troupe_error put(const struct registration *registration, uint64_t *ret_version,
                             unsigned reader) {
    enum troupe_error error;
    while ((error = registry_register(rig.registry, registration, 0, ret_version, NULL)) == TROUPE_FULL) {
        if (reader != NO_READER) {
            grace_quiescent(runtime_grace(rig.runtime), reader);
        }
        grace_collect(runtime_grace(rig.runtime));
        sched_yield();
    }
    return error;
}

/* Waves of registrations, so that partitions grow, leave tombs, shrink and move all the time. */
static void *churn(void *arg) {
    unsigned writer = (unsigned)(uintptr_t)arg, wave = 0;
    uint64_t version;
    char name[32];
    do {
        unsigned count = wave++ % 3 == 0 ? 3000 : 200;
        for (unsigned at = 0; at < count; at++) {
            volatile_name(writer, at, name);
            struct registration registration =
                rig_registration("agents", name, actors[writer], at % 4 ? 2 : 3);
            OK(put(&registration, &version, NO_READER));
            if (at % 16 == 0) {
                OK(registry_set_health(rig.registry, "agents", name, 0, (enum health)(at / 16 % 4)));
            }
        }
        for (unsigned at = 0; at < count; at++) {
            volatile_name(writer, at, name);
            OK(registry_unregister(rig.registry, "agents", name, actors[writer]));
        }
        grace_collect(runtime_grace(rig.runtime));
    } while (!stop);
    return NULL;
}

static unsigned stable_number(const struct registry_row *row) {
    return (unsigned)strtoul(row->name + strlen("stable-"), NULL, 10);
}

/* All stable rows once each, and every row with what was asked for. */
static void check_find(const struct registry_row **rows) {
    struct capability_set wanted = {{1}};
    unsigned char seen[STABLE] = {0};
    unsigned stable = 0;
    size_t found = registry_find(rig.registry, "agents", &wanted, rows, 20000);
    for (size_t at = 0; at < found; at++) {
        assert_true(capability_set_contains(registry_row_capabilities(rig.registry, rows[at]), &wanted));
        if (rows[at]->actor == actors[0]) {
            assert_int_equal(seen[stable_number(rows[at])]++, 0);
            stable++;
        }
    }
    assert_int_equal(stable, STABLE / 3);
}

static void *reader(void *arg) {
    struct grace *grace = runtime_grace(rig.runtime);
    const struct registry_row **rows = arg;
    static const char *const texts[] = {"stable-0", "volatile-1-5", "stable-299", "nobody", "stable-17"};
    unsigned id, round = 0;
    char name[32];
    OK(grace_register(grace, &id));
    do {
        for (unsigned at = 0; at < STABLE; at++) {
            snprintf(name, sizeof name, "stable-%u", at);
            const struct registry_row *row = registry_lookup(rig.registry, "agents", name, 0);
            assert_non_null(row); /* it never went away */
            rig_named(row, name);
            assert_int_equal(row->actor, actors[0]);
            volatile_name(1 + at % 2, at * 7, name);
            row = registry_lookup(rig.registry, "agents", name, 0);
            assert_true(row == NULL || strncmp(row->name, name, 16) == 0);
        }
        registry_lookup_batch(rig.registry, "agents", texts, 5, 0, rows);
        assert_true(rows[0] != NULL && rows[2] != NULL && rows[3] == NULL && rows[4] != NULL);
        rig_named(rows[4], texts[4]);
        check_find(rows);
        grace_quiescent(grace, id);
        if (++round % 8 == 0) { /* as a parked worker */
            grace_offline(grace, id);
            grace_online(grace, id);
        }
        grace_collect(grace);
    } while (!stop);
    grace_unregister(grace, id);
    return NULL;
}

static void start(struct registry_options options) {
    rig_begin(&rig, 1, &options);
    for (unsigned at = 0; at < ARRAY_COUNT(actors); at++) {
        actors[at] = rig_spawn(&rig, NULL, NULL);
    }
    stop = false;
}

static void growing(void **unused) {
    (void)unused;
    static const struct registry_row *rows[2][20000];
    pthread_t threads[4];
    struct registry_statistics statistics;
    start((struct registry_options){.partitions = 2});
    for (unsigned at = 0; at < STABLE; at++) {
        char name[32];
        snprintf(name, sizeof name, "stable-%u", at);
        OK(rig_register(&rig, "agents", name, actors[0], at % 3 == 0 ? 1 : 0));
    }
    for (unsigned at = 0; at < 2; at++) {
        OK(pthread_create(&threads[at], NULL, churn, (void *)(uintptr_t)(at + 1)));
        OK(pthread_create(&threads[2 + at], NULL, reader, (void *)rows[at]));
    }
    do { /* until enough has happened */
        sched_yield();
        registry_statistics(rig.registry, &statistics);
    } while (statistics.removed < 8000 || statistics.lookups_hit < 10000);
    stop = true;
    for (unsigned at = 0; at < 4; at++) {
        pthread_join(threads[at], NULL);
    }
    registry_statistics(rig.registry, &statistics);
    assert_int_equal(statistics.rows, STABLE);
    assert_true(statistics.grown > 8);
    rig_audit(&rig, true);
    rig_end(&rig);
}

/* ---- rows that move all the time: nothing but moves from table to table, far more than growth brings ---- */

#define MOVING 120U

static void *move(void *arg) {
    struct partition *partition = &rig.registry->partitions[0];
    _Atomic unsigned *moves = arg;
    while (!stop) {
        struct table *table = table_new(&rig.account, 32), *emptied = NULL;
        assert_non_null(table);
        spin_lock(&partition->lock);
        table_extend(partition, table);
        while (emptied == NULL) {
            emptied = table_migrate(rig.registry, partition);
        }
        spin_unlock(&partition->lock);
        table_retire(rig.registry, emptied);
        grace_collect(runtime_grace(rig.runtime));
        ++*moves;
    }
    return NULL;
}

static void moving(void **unused) {
    (void)unused;
    pthread_t mover;
    _Atomic unsigned moves = 0;
    unsigned id;
    start((struct registry_options){.partitions = 1});
    for (unsigned at = 0; at < MOVING; at++) {
        char name[32];
        snprintf(name, sizeof name, "moving-%u", at);
        OK(rig_register(&rig, "agents", name, actors[at % 4], 1));
    }
    OK(grace_register(runtime_grace(rig.runtime), &id));
    OK(pthread_create(&mover, NULL, move, &moves));
    for (unsigned round = 0; round < 150000 || moves < 1000; round++) {
        char name[32];
        snprintf(name, sizeof name, "moving-%u", round * 7 % MOVING);
        const struct registry_row *row = registry_lookup(rig.registry, "agents", name, 0);
        assert_non_null(row); /* always there: in one table or the next */
        rig_named(row, name);
        grace_quiescent(runtime_grace(rig.runtime), id);
    }
    stop = true;
    pthread_join(mover, NULL);
    grace_unregister(runtime_grace(rig.runtime), id);
    rig_audit(&rig, true);
    rig_end(&rig);
}

/* ---- find, while rows come and go in any order: those that were there throughout are found, once ---- */

#define TOGGLED 400U

static struct {
    _Atomic unsigned changes; /* odd: under way */
    _Atomic bool there;
} toggled[TOGGLED];

static void *toggle(void *arg) {
    struct random_stream random;
    random_seed(&random, 5, 0);
    while (!stop) {
        unsigned at = (unsigned)random_below(&random, TOGGLED);
        char name[32];
        snprintf(name, sizeof name, "toggled-%u", at);
        toggled[at].changes++;
        if (toggled[at].there) {
            OK(registry_unregister(rig.registry, "agents", name, actors[1]));
        } else {
            OK(rig_register(&rig, "agents", name, actors[1], 1));
        }
        toggled[at].there = !toggled[at].there;
        toggled[at].changes++;
        if (at == 0) {
            grace_collect(runtime_grace(rig.runtime));
        }
    }
    return arg;
}

static void finding(void **unused) {
    (void)unused;
    static const struct registry_row *rows[TOGGLED];
    static unsigned before[TOGGLED];
    pthread_t toggler;
    unsigned id, checked = 0, disturbed = 0;
    start((struct registry_options){.partitions = 1});
    memset(toggled, 0, sizeof toggled);
    OK(grace_register(runtime_grace(rig.runtime), &id));
    OK(pthread_create(&toggler, NULL, toggle, NULL));
    for (unsigned round = 0; round < 4000 || disturbed < 8000; round++) {
        unsigned char seen[TOGGLED] = {0};
        for (unsigned at = 0; at < TOGGLED; at++) {
            before[at] = toggled[at].changes;
            if (!toggled[at].there || toggled[at].changes != before[at]) {
                before[at] = 1;
            }
        }
        struct capability_set wanted = {{1}};
        size_t found = registry_find(rig.registry, "agents", &wanted, rows, TOGGLED);
        for (size_t at = 0; at < found; at++) {
            assert_int_equal(seen[strtoul(rows[at]->name + strlen("toggled-"), NULL, 10)]++, 0);
        }
        for (unsigned at = 0; at < TOGGLED; at++) {
            bool throughout = before[at] % 2 == 0 && toggled[at].changes == before[at];
            assert_true(!throughout || seen[at]);
            checked += throughout;
            disturbed += before[at] % 2 == 0 && !throughout;
        }
        grace_quiescent(runtime_grace(rig.runtime), id);
    }
    stop = true;
    pthread_join(toggler, NULL);
    grace_unregister(runtime_grace(rig.runtime), id);
    assert_true(checked > 10000);
    rig_end(&rig);
}

/* ---- linearizability of one key (Wing, Gong 1993) ---- */

#define THREADS 3U
#define OPERATIONS 5U
#define ROUNDS 800U

enum call { CALL_REGISTER, CALL_UNREGISTER, CALL_HEALTH, CALL_LOOKUP };
struct operation {
    enum call call;
    unsigned actor; /* index */
    enum health health;
    uint64_t began_ns, ended_ns;
    enum troupe_error error;
    uint64_t version;  /* register: given; look-up: seen */
    unsigned seen;     /* look-up: actor index + 1, or 0 */
    enum health shown; /* look-up */
};
struct state {
    unsigned holder; /* index + 1, or 0 */
    enum health health;
    uint64_t version; /* at least, or exactly */
    bool exact;
};
static struct operation history[THREADS][OPERATIONS];
static _Atomic unsigned round_begun, round_ended, first_done;

/* The registry by the book. False: this operation cannot have given what it gave in this state. */
static bool possible(const struct operation *operation, struct state *state) {
    unsigned holder = operation->actor + 1;
    switch (operation->call) {
    case CALL_REGISTER:
        if (state->holder != 0 && state->holder != holder) {
            return operation->error == TROUPE_EXISTS;
        }
        if (operation->error != TROUPE_OK || operation->version <= state->version) {
            return false;
        }
        *state = (struct state){
            .holder = holder, .health = operation->health, .version = operation->version, .exact = true};
        return true;
    case CALL_UNREGISTER:
        if (state->holder != holder) {
            return operation->error == TROUPE_NOT_FOUND;
        }
        state->holder = 0;
        return operation->error == TROUPE_OK;
    case CALL_HEALTH:
        if (state->holder == 0) {
            return operation->error == TROUPE_NOT_FOUND;
        }
        if (state->health != operation->health) {
            state->health = operation->health;
            state->exact = false; /* a later version, not told */
        }
        return operation->error == TROUPE_OK;
    default:
        if (operation->seen != state->holder) {
            return false;
        }
        return state->holder == 0 ||
               (operation->shown == state->health &&
                (state->exact ? operation->version == state->version : operation->version > state->version));
    }
}

/* Some order of what is left, from `state` on, that respects who ended before whom began. */
static bool linearizable(const unsigned done[THREADS], struct state state) {
    uint64_t first_end = UINT64_MAX;
    bool left = false;
    for (unsigned thread = 0; thread < THREADS; thread++) {
        if (done[thread] < OPERATIONS) {
            left = true;
            uint64_t ended_ns = history[thread][done[thread]].ended_ns;
            first_end = ended_ns < first_end ? ended_ns : first_end;
        }
    }
    if (!left) {
        return true;
    }
    for (unsigned thread = 0; thread < THREADS; thread++) {
        if (done[thread] == OPERATIONS || history[thread][done[thread]].began_ns > first_end) {
            continue;
        }
        struct state after = state;
        if (possible(&history[thread][done[thread]], &after)) {
            unsigned next[THREADS];
            memcpy(next, done, sizeof next);
            next[thread]++;
            if (linearizable(next, after)) {
                return true;
            }
        }
    }
    return false;
}

static void perform(struct operation *operation, struct random_stream *random, unsigned thread,
                    unsigned reader) {
    struct registry *registry = rig.registry;
    operation->call = (enum call)random_below(random, 4);
    operation->actor = random_below(random, 4) ? thread : (unsigned)random_below(random, THREADS);
    operation->health = (enum health)random_below(random, 2);
    struct registration registration =
        rig_registration("agents", "key", actors[operation->actor], thread == 0 ? 1 : 4);
    registration.health = operation->health;
    const struct registry_row *row;
    operation->began_ns = env_now(rig.env);
    switch (operation->call) {
    case CALL_REGISTER:
        operation->error = put(&registration, &operation->version, reader);
        break;
    case CALL_UNREGISTER:
        operation->error = registry_unregister(registry, "agents", "key", actors[operation->actor]);
        break;
    case CALL_HEALTH:
        operation->error = registry_set_health(registry, "agents", "key", 0, operation->health);
        break;
    default:
        row = registry_lookup(registry, "agents", "key", 0);
        operation->seen = 0;
        if (row != NULL) {
            while (actors[operation->seen++] != row->actor) {
            }
            struct registry_view view;
            registry_row_view(registry, row, &view);
            operation->version = view.version;
            operation->shown = view.health;
        }
    }
    operation->ended_ns = env_now(rig.env);
}

static void *perform_rounds(void *arg) {
    unsigned thread = (unsigned)(uintptr_t)arg, id;
    struct grace *grace = runtime_grace(rig.runtime);
    struct random_stream random;
    random_seed(&random, 77, thread);
    OK(grace_register(grace, &id));
    for (unsigned round = 1; round <= ROUNDS; round++) {
        while (round_begun < round) {
            sched_yield();
        }
        for (unsigned at = 0; at < OPERATIONS; at++) {
            perform(&history[thread][at], &random, thread, id);
            if (at == 0 &&
                round == 1) { /* once all wait for each other, so that some do overlap on any machine */
                for (first_done++; first_done < THREADS;) {
                    sched_yield();
                }
            }
        }
        grace_quiescent(grace, id);
        round_ended++;
    }
    grace_unregister(grace, id);
    return NULL;
}

static void histories(void **unused) {
    (void)unused;
    pthread_t threads[THREADS], churner;
    unsigned overlapped = 0;
    start((struct registry_options){.partitions = 1});
    round_begun = round_ended = first_done = 0;
    for (unsigned at = 0; at < THREADS; at++) {
        OK(pthread_create(&threads[at], NULL, perform_rounds, (void *)(uintptr_t)at));
    }
    OK(pthread_create(&churner, NULL, churn, (void *)(uintptr_t)3));
    for (unsigned round = 1; round <= ROUNDS; round++) {
        round_begun++;
        while (round_ended < round * THREADS) {
            sched_yield();
        }
        const unsigned none[THREADS] = {0};
        assert_true(linearizable(none, (struct state){0}));
        for (unsigned at = 1; at < THREADS; at++) {
            overlapped += history[at][0].began_ns < history[0][OPERATIONS - 1].ended_ns &&
                          history[0][0].began_ns < history[at][OPERATIONS - 1].ended_ns;
        }
        for (unsigned at = 0; at < THREADS; at++) { /* every round begins without a holder */
            IGNORE(registry_unregister(rig.registry, "agents", "key", actors[at]), "one of them may be");
        }
    }
    for (unsigned at = 0; at < THREADS; at++) {
        pthread_join(threads[at], NULL);
    }
    stop = true;
    pthread_join(churner, NULL);
    assert_true(overlapped > 0);
    rig_end(&rig);
}

/* ---- compare-and-set ---- */

#define SWAPS 2000U

static void *swap(void *arg) {
    struct grace *grace = runtime_grace(rig.runtime);
    unsigned id, *swapped = arg;
    OK(grace_register(grace, &id));
    while (*swapped < SWAPS) {
        const struct registry_row *row = registry_lookup(rig.registry, "agents", "key", 0);
        struct registry_view view;
        registry_row_view(rig.registry, row, &view);
        enum health other = view.health == HEALTH_UP ? HEALTH_DOWN : HEALTH_UP;
        enum troupe_error error = registry_set_health(rig.registry, "agents", "key", view.version, other);
        assert_true(error == TROUPE_OK || error == TROUPE_EXISTS);
        *swapped += error == TROUPE_OK;
        grace_quiescent(grace, id);
    }
    grace_unregister(grace, id);
    return NULL;
}

static void compare_and_set(void **unused) {
    (void)unused;
    unsigned swapped[3] = {0};
    pthread_t threads[3];
    start((struct registry_options){.partitions = 1});
    OK(rig_register(&rig, "agents", "key", actors[0], 1));
    uint64_t version = registry_row_version(registry_lookup(rig.registry, "agents", "key", 0));
    for (unsigned at = 0; at < 3; at++) {
        OK(pthread_create(&threads[at], NULL, swap, &swapped[at]));
    }
    for (unsigned at = 0; at < 3; at++) {
        pthread_join(threads[at], NULL);
    }
    /* Nobody's change was built on another's. */
    assert_int_equal(registry_row_version(registry_lookup(rig.registry, "agents", "key", 0)),
                     version + 3 * SWAPS);
    rig_audit(&rig, true);
    rig_end(&rig);
}

/* ---- one thread puts, others drop: what they put back is used again, or the registry grows for ever ---- */

#define HANDED 600U

static void *drop_all(void *unused) {
    char name[32];
    for (unsigned at = 0; at < HANDED; at++) {
        volatile_name(1, at, name);
        OK(registry_unregister(rig.registry, "agents", name, actors[0]));
    }
    grace_collect(runtime_grace(rig.runtime));
    return unused;
}

static void handed_on(void **unused) {
    (void)unused;
    struct registry_statistics before, after;
    start((struct registry_options){.partitions = 2});
    for (unsigned round = 0; round < 64; round++) {
        pthread_t dropper; /* in a lane of its own, each in the next one */
        char name[32];
        for (unsigned at = 0; at < HANDED; at++) {
            volatile_name(1, at, name);
            OK(rig_register(&rig, "agents", name, actors[0], 1));
        }
        OK(pthread_create(&dropper, NULL, drop_all, NULL));
        pthread_join(dropper, NULL);
        if (round == 31) {
            registry_statistics(rig.registry, &before);
        }
    }
    registry_statistics(rig.registry, &after);
    assert_int_equal(after.rows, 0);
    assert_int_equal(after.bytes, before.bytes);
    rig_audit(&rig, true);
    rig_end(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(growing),         cmocka_unit_test(moving),
                                       cmocka_unit_test(finding),         cmocka_unit_test(histories),
                                       cmocka_unit_test(compare_and_set), cmocka_unit_test(handed_on)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
