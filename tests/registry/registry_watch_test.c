/* Watchers that keep a copy of a namespace by its changes alone, while actors register, renew, expire, change,
 * end and are replaced: under many seeds in virtual time, and on real threads.
 * What a failure means: a change lost, doubled, or told before an older one of its key; a watcher that fell
 * behind and was not told; a row of the dead that stays. */
#include "registry_rig.h"

#include <stdlib.h>

#define KEYS 96U
#define HOLDERS 5U
#define WRITERS 3U
#define WATCHERS 4U
#define KEPT_MAX 4096U

struct replica {
    bool there;
    actor_ref actor;
    uint64_t version; /* of the last change seen, in any of our watches */
    enum health health;
    uint64_t capabilities;
};

struct world;
struct watcher {
    struct world *world;
    actor_ref self;
    uint64_t watch;
    bool behind, asked, agrees;
    unsigned slowness; /* 0: handles at once; else keeps messages that long (ms), at most */
    struct random_stream random;
    struct replica replicas[KEYS];
    struct message *kept[KEPT_MAX];
    unsigned kept_count, checks;
    uint64_t changes, fell_behind;
};
struct writer {
    struct world *world;
    unsigned rounds;
    struct random_stream random;
};
struct world {
    struct rig rig;
    unsigned rounds;
    bool restless; /* the watchers begin a new watch all the time, behind or not */
    _Atomic(actor_ref) holders[HOLDERS];
    actor_ref control;
    struct watcher watchers[WATCHERS];
    struct writer writers[WRITERS];
    unsigned writers_left, watchers_left; /* control's */
};

static void tell_control(struct world *world, struct turn *turn, enum message_kind kind) {
    struct message *message = message_new(world->rig.runtime, kind, 0);
    assert_non_null(message);
    OK(actor_send(world->rig.runtime, turn, world->control, &message));
}

static void again(struct turn *turn, uint64_t delay_ns) {
    uint64_t timer;
    OK(timer_start(turn, turn->now_ns + delay_ns, 0, &timer));
}

static void key_name(unsigned key, char name[16]) {
    snprintf(name, 16, "k-%u", key);
}

/* ---- writers ---- */

static void write_something(struct world *world, struct random_stream *random, uint64_t now_ns) {
    char name[16];
    struct registry *registry = world->rig.registry;
    _Atomic(actor_ref) *holder = &world->holders[random_below(random, HOLDERS)];
    actor_ref actor = *holder;
    key_name((unsigned)random_below(random, KEYS), name);
    uint64_t dice = random_below(random, 100), version;
    if (dice < 50) {
        struct registration registration =
            rig_registration(random_below(random, 8) ? "agents" : "others", name, actor, dice % 8);
        registration.lease_ns = random_below(random, 4) ? 0 : MS + random_below(random, 20 * MS);
        enum troupe_error error = registry_register(registry, &registration, now_ns, &version, NULL);
        assert_true(error == TROUPE_OK || error == TROUPE_EXISTS || error == TROUPE_DEAD);
    } else if (dice < 70) {
        IGNORE(registry_unregister(registry, "agents", name, actor), "not always his");
    } else if (dice < 99) {
        IGNORE(registry_set_health(registry, "agents", name, 0, (enum health)random_below(random, 4)),
               "not always there");
    } else if (random_below(random, 4) == 0) {
        actor_ref fresh = rig_spawn(&world->rig, NULL, NULL);
        actor_stop(world->rig.runtime, atomic_exchange(holder, fresh), TROUPE_OK);
    }
}

static void writer_handle(struct turn *turn, void *state, const struct message *message) {
    struct writer *writer = state;
    (void)message;
    unsigned burst = 1 + (unsigned)random_below(&writer->random, random_below(&writer->random, 10) ? 8 : 300);
    for (unsigned at = 0; at < burst; at++) {
        write_something(writer->world, &writer->random, turn->now_ns);
    }
    if (--writer->rounds > 0) {
        again(turn, random_below(&writer->random, MS));
    } else {
        tell_control(writer->world, turn, MESSAGE_USER);
    }
}

/* ---- watchers ---- */

static void watch_again(struct watcher *watcher, struct turn *turn) {
    struct registry *registry = watcher->world->rig.registry;
    if (watcher->watch != 0) {
        registry_unwatch(registry, watcher->watch);
    }
    for (unsigned key = 0; key < KEYS; key++) {
        watcher->replicas[key].there = false;
    }
    watcher->behind = false;
    OK(registry_watch(registry, turn, "agents", turn->self, &watcher->watch));
}

static void apply(struct watcher *watcher, const struct message *message) {
    const struct message_registry_change *change = MESSAGE_PAYLOAD(message, struct message_registry_change);
    if (message->token != watcher->watch) {
        return; /* of a watch that was given up */
    }
    assert_false(watcher->behind); /* nothing after FELL_BEHIND */
    watcher->changes++;
    if (change->change == REGISTRY_FELL_BEHIND) {
        watcher->behind = true;
        watcher->fell_behind++;
        return;
    }
    unsigned key = (unsigned)strtoul(change->name + 2, NULL, 10);
    struct replica *replica = &watcher->replicas[key];
    bool first = change->change == REGISTRY_ADDED && change->version == replica->version;
    assert_true(change->version > replica->version || first); /* the same row, read again by a new watch */
    assert_int_equal(replica->there, change->change != REGISTRY_ADDED);
    assert_true(!replica->there || replica->actor == change->actor);
    *replica = (struct replica){.there = change->change != REGISTRY_REMOVED,
                                .actor = change->actor,
                                .version = change->version,
                                .health = change->health,
                                .capabilities = change->capabilities.bits[0]};
}

static bool agrees(struct watcher *watcher, struct turn *turn) {
    for (unsigned key = 0; key < KEYS; key++) {
        char name[16];
        key_name(key, name);
        const struct replica *replica = &watcher->replicas[key];
        const struct registry_row *row =
            registry_lookup(watcher->world->rig.registry, "agents", name, turn->now_ns);
        if (replica->there != (row != NULL)) {
            return false;
        }
        if (row == NULL) {
            continue;
        }
        struct registry_view view;
        registry_row_view(watcher->world->rig.registry, row, &view);
        if (view.version != replica->version || view.health != replica->health ||
            row->actor != replica->actor || view.capabilities->bits[0] != replica->capabilities) {
            return false;
        }
    }
    return true;
}

/* Frees some of what it keeps, in any order. */
static void forget(struct watcher *watcher) {
    unsigned count = (unsigned)random_below(&watcher->random, watcher->kept_count + 1);
    if (watcher->asked) {
        count = watcher->kept_count;
    }
    while (count-- > 0) {
        unsigned at = (unsigned)random_below(&watcher->random, watcher->kept_count);
        struct message *message = watcher->kept[at];
        watcher->kept[at] = watcher->kept[--watcher->kept_count];
        message_free(&message);
    }
}

static void watcher_handle(struct turn *turn, void *state, const struct message *message) {
    struct watcher *watcher = state;
    switch (message->kind) {
    case MESSAGE_USER: /* begin */
        watcher->self = turn->self;
        watch_again(watcher, turn);
        again(turn, MS);
        break;
    case MESSAGE_REGISTRY_CHANGE:
        apply(watcher, message);
        if (watcher->slowness != 0 && !watcher->asked && watcher->kept_count < KEPT_MAX) {
            watcher->kept[watcher->kept_count++] = turn_take(turn);
        }
        break;
    case MESSAGE_TIMER:
        forget(watcher);
        if (watcher->behind || (watcher->world->restless && !watcher->asked)) {
            watch_again(watcher, turn);
        }
        if (watcher->asked && !watcher->agrees && !watcher->behind && agrees(watcher, turn)) {
            watcher->agrees = true;
            tell_control(watcher->world, turn, MESSAGE_PING);
        }
        if (!watcher->agrees) {
            uint64_t delay_ns = MS + random_below(&watcher->random, 1 + watcher->slowness * MS);
            again(turn, watcher->world->restless && !watcher->asked ? delay_ns / 64 : delay_ns);
        }
        break;
    case MESSAGE_PING: /* everything is written: agree, by and by */
        watcher->asked = true;
        break;
    default:
        break;
    }
}

static void watcher_destroy(void *state) {
    struct watcher *watcher = state;
    for (unsigned at = 0; at < watcher->kept_count; at++) {
        message_free(&watcher->kept[at]);
    }
}

/* ---- control ---- */

/* What is counted is alive. The keeper may be about to expire a row: then look again. */
static void check_ghosts(struct world *world, struct turn *turn) {
    size_t alive = 0;
    for (unsigned key = 0; key < 2 * KEYS; key++) {
        char name[16];
        key_name(key % KEYS, name);
        alive += registry_lookup(world->rig.registry, key < KEYS ? "agents" : "others", name, turn->now_ns) !=
                 NULL;
    }
    if (registry_count(world->rig.registry) != alive) {
        again(turn, MS);
        return;
    }
    rig_audit(&world->rig, true);
    runtime_stop(world->rig.runtime);
}

static void control_handle(struct turn *turn, void *state, const struct message *message) {
    struct world *world = state;
    if (message->kind == MESSAGE_USER && --world->writers_left == 0) {
        again(turn, 100 * MS); /* leases end */
    }
    if (message->kind == MESSAGE_TIMER && world->watchers_left > 0) {
        for (unsigned at = 0; at < WATCHERS; at++) {
            struct message *ask = message_new(world->rig.runtime, MESSAGE_PING, 0);
            OK(actor_send(world->rig.runtime, turn, world->watchers[at].self, &ask));
        }
    }
    if (message->kind == MESSAGE_PING) {
        world->watchers_left--;
    }
    if (world->watchers_left == 0) {
        check_ghosts(world, turn);
    }
}

static void world_live(struct world *world, uint64_t seed) {
    struct random_stream random;
    random_seed(&random, seed, 0);
    world->writers_left = WRITERS;
    world->watchers_left = WATCHERS;
    for (unsigned at = 0; at < HOLDERS; at++) {
        world->holders[at] = rig_spawn(&world->rig, NULL, NULL);
    }
    world->control = rig_spawn(&world->rig, control_handle, world);
    for (unsigned at = 0; at < 300; at++) {
        write_something(world, &random, env_now(world->rig.env));
    }
    for (unsigned at = 0; at < WATCHERS; at++) {
        struct watcher *watcher = &world->watchers[at];
        watcher->world = world;
        watcher->slowness = at == 0 ? 0 : 1 + (unsigned)random_below(&random, 20);
        random_seed(&watcher->random, seed, 100 + at);
        struct actor_spec spec = {
            .name = "watcher", .handle = watcher_handle, .state = watcher, .destroy = watcher_destroy};
        OK(actor_spawn(world->rig.runtime, &spec, &watcher->self));
        rig_kick(&world->rig, watcher->self);
    }
    for (unsigned at = 0; at < WRITERS; at++) {
        struct writer *writer = &world->writers[at];
        *writer = (struct writer){.world = world, .rounds = world->rounds};
        random_seed(&writer->random, seed, 200 + at);
        rig_kick(&world->rig, rig_spawn(&world->rig, writer_handle, writer));
    }
    OK(runtime_run(world->rig.runtime));
    assert_int_equal(world->watchers_left, 0);
    rig_end(&world->rig);
}

static struct world world;

static void in_virtual_time(void **unused) {
    (void)unused;
    uint64_t changes = 0, fell_behind = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        memset(&world, 0, sizeof world);
        world.rounds = 60;
        rig_begin_sim(
            &world.rig, seed,
            &(struct registry_options){.partitions = 1U << seed % 4, .watch_len_max = 4U << seed % 8});
        world_live(&world, seed);
        for (unsigned at = 0; at < WATCHERS; at++) {
            changes += world.watchers[at].changes;
            fell_behind += world.watchers[at].fell_behind;
        }
    }
    assert_true(changes > 100000);
    assert_true(fell_behind > 100); /* the bound is reached */
}

static void on_threads(void **unused) {
    (void)unused;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        memset(&world, 0, sizeof world);
        world.rounds = 40;
        rig_begin(&world.rig, 3,
                  &(struct registry_options){.partitions = 1U << seed % 3, .watch_len_max = 8U << seed % 6});
        world_live(&world, seed);
    }
}

/* A watch that begins while rows come and go and the keeper feeds. */
static void restless_on_threads(void **unused) {
    (void)unused;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        memset(&world, 0, sizeof world);
        world.rounds = 200;
        world.restless = true;
        rig_begin(&world.rig, 3, &(struct registry_options){.partitions = 64, .watch_len_max = 64});
        world_live(&world, seed);
    }
}

/* ---- one at a time ---- */

struct counter {
    unsigned added, removed, behind, others;
    unsigned late; /* after FELL_BEHIND */
};

static void count_handle(struct turn *turn, void *state, const struct message *message) {
    struct counter *counter = state;
    if (message->kind == MESSAGE_USER) {
        runtime_stop(turn->runtime);
    }
    if (message->kind != MESSAGE_REGISTRY_CHANGE) {
        return;
    }
    counter->late += counter->behind;
    switch (MESSAGE_PAYLOAD(message, struct message_registry_change)->change) {
    case REGISTRY_ADDED:
        counter->added++;
        break;
    case REGISTRY_REMOVED:
        counter->removed++;
        break;
    case REGISTRY_FELL_BEHIND:
        counter->behind++;
        break;
    default:
        counter->others++;
    }
}

/* A first reading far longer than the bound: all rows, none twice, and never more on the way than half of it. */
static void first_reading(void **unused) {
    (void)unused;
    struct rig rig;
    char name[16];
    uint64_t watch;
    struct counter counter = {0};
    rig_begin_sim(&rig, 5, &(struct registry_options){.watch_len_max = 32});
    actor_ref actor = rig_spawn(&rig, NULL, NULL), watcher = rig_spawn(&rig, count_handle, &counter);
    for (unsigned key = 0; key < 5000; key++) {
        key_name(key, name);
        OK(rig_register(&rig, "agents", name, actor, 1));
    }
    OK(registry_watch(rig.registry, NULL, "agents", watcher, &watch));
    assert_int_equal(runtime_run(rig.runtime), TROUPE_DEAD); /* nothing can happen any more */
    assert_int_equal(counter.added, 5000);
    assert_int_equal(counter.removed + counter.behind + counter.others, 0);
    rig_end(&rig);
}

/* The name passes from one to the other when the lease has ended: two changes in one write. */
static enum troupe_error hand_over(struct rig *rig, const actor_ref *actors, unsigned round) {
    uint64_t version;
    struct registration registration = rig_registration("agents", "a", actors[round % 2], 1);
    registration.lease_ns = 1;
    return registry_register(rig->registry, &registration, 10 * round, &version, NULL);
}

/* No memory for a change's message: the watcher is told that it fell behind, once and last, and the change is
 * made. */
static void no_memory(void **unused) {
    (void)unused;
    unsigned told = 0;
    for (int n = 1; n < 250; n++) {
        struct rig rig;
        uint64_t watch;
        struct counter counter = {0};
        unsigned made = 0;
        rig_begin_sim(&rig, 6, NULL);
        actor_ref actors[2] = {rig_spawn(&rig, NULL, NULL), rig_spawn(&rig, NULL, NULL)};
        OK(registry_watch(rig.registry, NULL, "agents", rig_spawn(&rig, count_handle, &counter), &watch));
        for (unsigned at = 0; at < 2; at++) {
            OK(hand_over(&rig, actors, made++)); /* monitors, arrays */
        }
        memory_fail_after(n);
        enum troupe_error error = TROUPE_OK;
        while (error == TROUPE_OK && made < 300) {
            error = hand_over(&rig, actors, made);
            made += error == TROUPE_OK;
        }
        bool fired = memory_fail_fired();
        memory_fail_after(0);
        assert_true(fired);
        assert_int_equal(registry_lookup(rig.registry, "agents", "a", 0)->actor, actors[(made - 1) % 2]);
        assert_int_equal(registry_count(rig.registry), 1);
        assert_int_equal(runtime_run(rig.runtime), TROUPE_DEAD);
        assert_int_equal(counter.behind, error == TROUPE_OK); /* a message's memory, or a row's */
        assert_int_equal(counter.late, 0);
        assert_true(counter.behind || counter.added == made);
        told += counter.behind;
        rig_end(&rig);
    }
    assert_true(told > 0);
}

/* watch_len_max changes and not one more. */
static void length_bound(void **unused) {
    (void)unused;
    for (unsigned length = 4; length <= 64; length *= 2) {
        for (unsigned changes = length - 1; changes <= length + 2; changes++) {
            struct rig rig;
            uint64_t watch;
            struct counter counter = {0};
            rig_begin_sim(&rig, 7, &(struct registry_options){.watch_len_max = length});
            actor_ref actor = rig_spawn(&rig, NULL, NULL);
            OK(registry_watch(rig.registry, NULL, "agents", rig_spawn(&rig, count_handle, &counter), &watch));
            for (unsigned at = 0; at < changes; at++) { /* none is handled meanwhile */
                char name[16];
                key_name(at, name);
                OK(rig_register(&rig, "agents", name, actor, 1));
            }
            assert_int_equal(runtime_run(rig.runtime), TROUPE_DEAD);
            assert_int_equal(counter.added, changes < length ? changes : length);
            assert_int_equal(counter.behind, changes > length);
            assert_int_equal(counter.late, 0);
            rig_end(&rig);
        }
    }
}

static void bounds(void **unused) {
    (void)unused;
    struct rig rig;
    uint64_t watches[3], watch = 0;
    rig_begin(&rig, 1, &(struct registry_options){.watchers_max = 2});
    actor_ref watcher = rig_spawn(&rig, NULL, NULL);
    OK(registry_watch(rig.registry, NULL, "agents", watcher, &watches[0]));
    OK(registry_watch(rig.registry, NULL, "others", watcher, &watches[1]));
    assert_int_equal(registry_watch(rig.registry, NULL, "agents", watcher, &watch), TROUPE_LIMIT);
    assert_int_equal(watch, 0);
    registry_unwatch(rig.registry, watches[0]);
    registry_unwatch(rig.registry, watches[0]); /* twice is nothing */
    OK(registry_watch(rig.registry, NULL, "agents", watcher, &watches[2]));
    assert_int_not_equal(watches[2], watches[0]);
    registry_unwatch(rig.registry, watches[0]); /* nor does it end its slot's next one */
    assert_int_equal(registry_watch(rig.registry, NULL, "agents", watcher, &watch), TROUPE_LIMIT);
    rig_end(&rig);
}

/* Watches and rows end with their actors: the slots are free again, without anybody's unwatch. */
struct ending {
    struct rig *rig;
    actor_ref actor;
    unsigned round;
};
static void ending_handle(struct turn *turn, void *state, const struct message *message) {
    struct ending *ending = state;
    uint64_t watch;
    (void)message;
    if (ending->round > 0) {
        assert_int_equal(registry_count(ending->rig->registry), 0); /* no ghosts */
        assert_int_equal(rig_register(ending->rig, "agents", "ghost", ending->actor, 1), TROUPE_DEAD);
        assert_int_equal(registry_count(ending->rig->registry), 0);
    }
    if (++ending->round == 50) {
        runtime_stop(turn->runtime);
        return;
    }
    ending->actor = rig_spawn(ending->rig, NULL, NULL);
    for (unsigned key = 0; key < 600; key++) { /* more than the keeper does in one turn */
        char name[16];
        key_name(key, name);
        OK(rig_register(ending->rig, "agents", name, ending->actor, key % 4));
    }
    OK(registry_watch(ending->rig->registry, turn, "agents", ending->actor, &watch));
    OK(registry_watch(ending->rig->registry, turn, "others", ending->actor, &watch));
    actor_stop(turn->runtime, ending->actor, TROUPE_INTERNAL);
    again(turn, 10 * MS);
}
static void actors_that_end(void **unused) {
    (void)unused;
    struct rig rig;
    struct ending ending = {.rig = &rig};
    rig_begin_sim(&rig, 9, &(struct registry_options){.watchers_max = 2, .watch_len_max = 4});
    rig_kick(&rig, rig_spawn(&rig, ending_handle, &ending));
    OK(runtime_run(rig.runtime));
    assert_int_equal(ending.round, 50);
    rig_end(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_virtual_time),     cmocka_unit_test(on_threads),
        cmocka_unit_test(restless_on_threads), cmocka_unit_test(first_reading),
        cmocka_unit_test(no_memory),           cmocka_unit_test(bounds),
        cmocka_unit_test(length_bound),        cmocka_unit_test(actors_that_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
