/* A counter that anybody finds by its name and asks: cc embed.c $(pkg-config --cflags --libs troupe) && ./a.out */
#include <inttypes.h>
#include <stdio.h>
#include <troupe.h>

static void counter(struct troupe_turn *turn, void *state, const struct troupe_event *event) {
    uint64_t *count = state;
    if (event->kind == TROUPE_EVENT_QUESTION) {
        *count += *(const uint64_t *)event->bytes;
        troupe_answer(turn, count, sizeof *count);
    }
}

static void client(struct troupe_turn *turn, void *state, const struct troupe_event *event) {
    (void)state;
    if (event->kind == TROUPE_EVENT_ANSWER)
        printf("the counter stands at %" PRIu64 "\n", *(const uint64_t *)event->bytes);
    else if (event->kind == TROUPE_EVENT_NO_ANSWER)
        printf("no answer: %s\n", troupe_status_text(event->status));
    uint64_t next = event->token + 1;
    troupe_actor to = troupe_registry_lookup(troupe_of(turn), turn, "example", "counter");
    if (next > 3 || troupe_ask(turn, to, &next, sizeof next, next, 1000000000) != TROUPE_STATUS_OK)
        troupe_stop(troupe_of(turn));
}

int main(void) {
    struct troupe *troupe;
    troupe_actor actor;
    uint64_t count = 0;
    enum troupe_status status = troupe_open(NULL, &troupe);
    if (status == TROUPE_STATUS_OK) {
        troupe_actor_spawn(troupe, &(struct troupe_actor_spec){.handle = counter, .state = &count}, &actor);
        troupe_registry_register(troupe, "example", "counter", actor);
        troupe_actor_spawn(troupe, &(struct troupe_actor_spec){.handle = client}, &actor);
        troupe_send(troupe, NULL, actor, "", 0);
        status = troupe_run(troupe);
        troupe_close(troupe);
    }
    return status == TROUPE_STATUS_OK && count == 6 ? 0 : 1;
}
