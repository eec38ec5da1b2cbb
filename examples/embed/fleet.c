/* A fleet that outlives its process: agents say what they can do and how busy they are; a dispatcher finds the least loaded
 * one, watches what changes, and the registry is saved and restored:
 *     cc fleet.c $(pkg-config --cflags --libs troupe) && ./a.out DIRECTORY */
#include <stdio.h>
#include <string.h>
#include <troupe.h>

static const char *directory = "fleet-registry";
static unsigned failures, seen;

static void check(const char *what, enum troupe_status status) {
    if (status != TROUPE_STATUS_OK) {
        printf("%s: %s\n", what, troupe_status_text(status));
        failures++;
    }
}

static void agent(struct troupe_turn *turn, void *state, const struct troupe_event *event) {
    (void)turn, (void)state, (void)event;
}

/* Gives work to whoever can train and has least to do: a compare-and-set, so that two dispatchers never count twice. */
static void give_work(struct troupe_turn *turn) {
    struct troupe_capabilities train = {{0}};
    struct troupe_registry_row row;
    TROUPE_CAPABILITY_ADD(&train, 1);
    if (troupe_registry_find(troupe_of(turn), turn, "fleet", &train, TROUPE_FIND_LEAST_LOADED, &row, 1) ==
        1) {
        row.entry.load++;
        check("update", troupe_registry_update(troupe_of(turn), "fleet", row.name, row.version,
                                               TROUPE_CHANGE_LOAD, &row.entry));
    }
}

static void dispatcher(struct troupe_turn *turn, void *state, const struct troupe_event *event) {
    uint64_t watch;
    (void)state;
    if (event->kind == TROUPE_EVENT_MESSAGE)
        check("watch", troupe_registry_watch(turn, "fleet", &watch));
    if (event->kind != TROUPE_EVENT_REGISTRY)
        return;
    const struct troupe_registry_event *change = event->bytes;
    printf("%s %s\n", change->name, change->kind == TROUPE_REGISTRY_ADDED ? "is there" : "has changed");
    if (++seen == 3)
        give_work(turn);
    else if (change->kind == TROUPE_REGISTRY_CHANGED) {
        check("save", troupe_registry_save(troupe_of(turn), turn, directory, "fleet", NULL, NULL));
        troupe_stop(troupe_of(turn));
    }
}

static troupe_actor spawn(struct troupe *troupe, troupe_handler handle) {
    troupe_actor actor = 0;
    check("spawn", troupe_actor_spawn(troupe, &(struct troupe_actor_spec){.handle = handle}, &actor));
    return actor;
}

static troupe_actor take_up(void *context, const struct troupe_registry_row *row) {
    printf("%s comes back with load %u\n", row->name, row->entry.load);
    return spawn(context, agent);
}

static void first_life(void) {
    struct troupe *troupe;
    check("open", troupe_open(NULL, &troupe));
    for (unsigned number = 0; number < 3; number++) {
        char name[16];
        struct troupe_registry_entry entry = {.load = 3 - number, .lease_ns = 60000000000};
        snprintf(name, sizeof name, "agent-%u", number);
        TROUPE_CAPABILITY_ADD(&entry.capabilities, number == 2 ? 0 : 1); /* the last one cannot train */
        check("register",
              troupe_registry_register_entry(troupe, "fleet", name, spawn(troupe, agent), &entry, NULL));
    }
    check("send", troupe_send(troupe, NULL, spawn(troupe, dispatcher), "", 0));
    check("run", troupe_run(troupe));
    troupe_close(troupe);
}

static void second_life(void) {
    struct troupe *troupe;
    struct troupe_registry_restored restored;
    struct troupe_registry_row row;
    check("open", troupe_open(NULL, &troupe));
    check("restore", troupe_registry_restore(troupe, directory, "fleet", take_up, troupe, &restored, NULL));
    check("read", troupe_registry_read(troupe, NULL, "fleet", "agent-1", &row));
    failures += restored.rows != 3 || row.entry.load != 3; /* it had 2, and was given work */
    troupe_close(troupe);
}

int main(int argc, char **argv) {
    if (argc > 1)
        directory = argv[1];
    first_life();
    if (failures == 0)
        second_life();
    return failures == 0 ? 0 : 1;
}
