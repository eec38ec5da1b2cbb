/* A hierarchical timing wheel (Varghese, Lauck 1987) of eight levels of 64 slots; a tick is 65.5 us, but
 * deadlines are kept exactly: an entry pops at the first call whose now_ns is at or past its deadline,
 * earliest first.
 *
 * Cost:    insert and remove O(1); an entry moves down at most seven times before it is due. What was inserted
 *          since the owner last looked at the time stands in a plain list, `young`: most timeouts of asks are
 *          removed from there and never see a slot.
 * Threads: one (the worker that owns it).
 * Memory:  entries belong to the caller. */
#ifndef RUNTIME_TIMER_WHEEL_H
#define RUNTIME_TIMER_WHEEL_H

#include "base/base.h"

#define WHEEL_LEVELS 8U
#define WHEEL_SLOTS 64U

struct wheel_entry {
    struct wheel_entry *next;
    struct wheel_entry **link; /* what points at it; NULL: in no wheel */
    uint64_t deadline_ns;
    uint64_t sequence; /* ties fire in order of insertion */
    uint16_t place;    /* level * WHEEL_SLOTS + slot, or what timer_wheel.c calls due and young */
};

struct timer_wheel {
    uint64_t elapsed; /* ticks: every slot that starts at or before it has been emptied into lower levels or
                         `due` */
    uint64_t next_ns; /* nothing is due before it (a lower bound) */
    bool next_exact;  /* next_ns need not be searched again */
    uint64_t sequence;
    size_t count;
    struct wheel_entry *due;         /* in order */
    struct wheel_entry *young;       /* not in a slot yet; next_ns knows them */
    uint64_t occupied[WHEEL_LEVELS]; /* bit per slot */
    struct wheel_entry *slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct timer_wheel *wheel, uint64_t now_ns);
struct wheel_entry *wheel_collect(struct timer_wheel *wheel, uint64_t now_ns);
/* When the owner must call wheel_pop again: never later than the earliest deadline. UINT64_MAX: no entries.
 */
uint64_t wheel_next(struct timer_wheel *wheel);

#define WHEEL_PLACE_DUE UINT16_MAX
#define WHEEL_PLACE_YOUNG (UINT16_MAX - 1U)

static inline void wheel_link(struct wheel_entry **head, struct wheel_entry *entry) {
    entry->next = *head;
    entry->link = head;
    if (entry->next != NULL) {
        entry->next->link = &entry->next;
    }
    *head = entry;
}

static inline void wheel_unlink(struct wheel_entry *entry) {
    *entry->link = entry->next;
    if (entry->next != NULL) {
        entry->next->link = entry->link;
    }
    entry->next = NULL;
    entry->link = NULL;
}

static inline void wheel_insert(struct timer_wheel *wheel, struct wheel_entry *entry, uint64_t deadline_ns) {
    CHECK(entry->link == NULL);
    entry->deadline_ns = deadline_ns;
    entry->sequence = wheel->sequence++;
    entry->place = WHEEL_PLACE_YOUNG;
    wheel_link(&wheel->young, entry);
    wheel->count++;
    if (deadline_ns <= wheel->next_ns) {
        wheel->next_ns = deadline_ns;
        wheel->next_exact = true;
    }
}

void wheel_slot_left(struct timer_wheel *wheel, unsigned place); /* an entry was taken out of it */

/* It must be in the wheel. */
static inline void wheel_remove(struct timer_wheel *wheel, struct wheel_entry *entry) {
    CHECK(entry->link != NULL && wheel->count > 0);
    wheel_unlink(entry);
    wheel->count--;
    if (entry->place == WHEEL_PLACE_DUE) {
        return;
    }
    if (entry->place != WHEEL_PLACE_YOUNG) {
        wheel_slot_left(wheel, entry->place);
    }
    if (wheel->count == 0) { /* nothing to wake up for: not even to find that out */
        wheel->next_ns = UINT64_MAX;
        wheel->next_exact = true;
    } else if (entry->deadline_ns <= wheel->next_ns) {
        wheel->next_exact = false; /* still a lower bound; searched again when the owner wants to sleep */
    }
}

/* The earliest entry that is due, removed; NULL: none. */
static inline struct wheel_entry *wheel_pop(struct timer_wheel *wheel, uint64_t now_ns) {
    return wheel->due == NULL && now_ns < wheel->next_ns ? NULL : wheel_collect(wheel, now_ns);
}

#endif
