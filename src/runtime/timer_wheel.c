/* The timing wheel: see timer_wheel.h.
 *
 * An entry's level is the position of the highest bit in which its tick differs from `elapsed`, six bits a
 * level, so at each level the occupied slots lie ahead of `elapsed` and everything on a lower level is
 * earlier than everything on a higher one: the next thing to do is the first occupied slot of the lowest
 * occupied level. */
#include "runtime/timer_wheel.h"

#define TICK_SHIFT 16U
#define LEVEL_SHIFT 6U

void wheel_init(struct timer_wheel *wheel, uint64_t now_ns) {
    *wheel = (struct timer_wheel){.elapsed = now_ns >> TICK_SHIFT, .next_ns = UINT64_MAX, .next_exact = true};
}

static void entry_place(struct timer_wheel *wheel, struct wheel_entry *entry) {
    uint64_t tick = entry->deadline_ns >> TICK_SHIFT;
    if (tick < wheel->elapsed) {
        tick = wheel->elapsed; /* late already: due at the next pop */
    }
    uint64_t differs = (tick ^ wheel->elapsed) | (WHEEL_SLOTS - 1);
    unsigned level = (63U - (unsigned)__builtin_clzll(differs)) / LEVEL_SHIFT;
    CHECK(level < WHEEL_LEVELS); /* ticks have 48 bits */
    unsigned slot = (unsigned)(tick >> (level * LEVEL_SHIFT)) & (WHEEL_SLOTS - 1);
    entry->place = (uint16_t)(level * WHEEL_SLOTS + slot);
    wheel_link(&wheel->slots[level][slot], entry);
    wheel->occupied[level] |= UINT64_C(1) << slot;
}

void wheel_slot_left(struct timer_wheel *wheel, unsigned place) {
    unsigned level = place / WHEEL_SLOTS, slot = place % WHEEL_SLOTS;
    if (wheel->slots[level][slot] == NULL) {
        wheel->occupied[level] &= ~(UINT64_C(1) << slot);
    }
}

/* The first occupied slot and the tick it starts at; false: nothing in the slots. */
static bool slot_first(const struct timer_wheel *wheel, unsigned *ret_level, unsigned *ret_slot,
                       uint64_t *ret_tick) {
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        if (wheel->occupied[level] != 0) {
            unsigned shift = level * LEVEL_SHIFT;
            unsigned slot = (unsigned)__builtin_ctzll(wheel->occupied[level]);
            uint64_t round = wheel->elapsed >> (shift + LEVEL_SHIFT);
            *ret_level = level;
            *ret_slot = slot;
            *ret_tick = (round << (shift + LEVEL_SHIFT)) | (uint64_t)slot << shift;
            return true;
        }
    }
    return false;
}

static void next_search(struct timer_wheel *wheel) {
    unsigned level, slot;
    uint64_t tick;
    wheel->next_exact = true;
    wheel->next_ns = UINT64_MAX;
    if (!slot_first(wheel, &level, &slot, &tick)) {
        return;
    }
    if (level > 0) {
        wheel->next_ns = tick << TICK_SHIFT; /* when its entries move down */
        return;
    }
    for (struct wheel_entry *entry = wheel->slots[0][slot]; entry != NULL; entry = entry->next) {
        if (entry->deadline_ns < wheel->next_ns) {
            wheel->next_ns = entry->deadline_ns;
        }
    }
}

/* The young ones that are left go where they belong. */
static void young_place(struct timer_wheel *wheel) {
    struct wheel_entry *entry = wheel->young;
    wheel->young = NULL;
    while (entry != NULL) {
        struct wheel_entry *next = entry->next;
        entry_place(wheel, entry);
        entry = next;
    }
}

uint64_t wheel_next(struct timer_wheel *wheel) {
    if (wheel->due != NULL) {
        return 0;
    }
    if (wheel->young != NULL) {
        young_place(wheel);
    }
    if (!wheel->next_exact) {
        next_search(wheel);
    }
    return wheel->next_ns;
}

static bool entry_before(const struct wheel_entry *a, const struct wheel_entry *b) {
    return a->deadline_ns != b->deadline_ns ? a->deadline_ns < b->deadline_ns : a->sequence < b->sequence;
}

/* Merge sort of a list by (deadline, sequence); links are set by the caller. */
static struct wheel_entry *list_sort(struct wheel_entry *list) {
    if (list == NULL || list->next == NULL) {
        return list;
    }
    struct wheel_entry *middle = list;
    for (struct wheel_entry *end = list->next; end != NULL && end->next != NULL; end = end->next->next) {
        middle = middle->next;
    }
    struct wheel_entry *right = list_sort(middle->next);
    middle->next = NULL;
    struct wheel_entry *left = list_sort(list);
    struct wheel_entry *sorted = NULL, **end = &sorted;
    while (left != NULL && right != NULL) {
        struct wheel_entry **first = entry_before(left, right) ? &left : &right;
        *end = *first;
        end = &(*end)->next;
        *first = (*first)->next;
    }
    *end = left != NULL ? left : right;
    return sorted;
}

/* Takes from a slot of level 0 what is due; the rest stays. */
static void slot_due(struct timer_wheel *wheel, unsigned slot, uint64_t now_ns, struct wheel_entry **due) {
    struct wheel_entry *entry = wheel->slots[0][slot];
    while (entry != NULL) {
        struct wheel_entry *next = entry->next;
        if (entry->deadline_ns <= now_ns) {
            wheel_unlink(entry);
            entry->next = *due;
            *due = entry;
        }
        entry = next;
    }
    if (wheel->slots[0][slot] == NULL) {
        wheel->occupied[0] &= ~(UINT64_C(1) << slot);
    }
}

static void slot_cascade(struct timer_wheel *wheel, unsigned level, unsigned slot) {
    struct wheel_entry *entry = wheel->slots[level][slot];
    wheel->slots[level][slot] = NULL;
    wheel->occupied[level] &= ~(UINT64_C(1) << slot);
    while (entry != NULL) {
        struct wheel_entry *next = entry->next;
        entry_place(wheel, entry);
        entry = next;
    }
}

/* Moves everything due at now_ns to wheel->due, sorted. */
static void due_gather(struct timer_wheel *wheel, uint64_t now_ns) {
    uint64_t now_tick = now_ns >> TICK_SHIFT, tick;
    unsigned level, slot;
    struct wheel_entry *due = NULL;
    while (slot_first(wheel, &level, &slot, &tick) && tick <= now_tick) {
        if (tick > wheel->elapsed) {
            wheel->elapsed = tick;
        }
        if (level > 0) {
            slot_cascade(wheel, level, slot);
            continue;
        }
        slot_due(wheel, slot, now_ns, &due);
        if (wheel->slots[0][slot] != NULL) {
            break; /* the tick we are in: what is left is due later */
        }
    }
    if (now_tick > wheel->elapsed) {
        wheel->elapsed = now_tick; /* no occupied slot starts at or before it */
    }
    next_search(wheel);
    struct wheel_entry **link = &wheel->due;
    for (struct wheel_entry *entry = list_sort(due); entry != NULL; entry = entry->next) {
        *link = entry;
        entry->link = link;
        entry->place = WHEEL_PLACE_DUE;
        link = &entry->next;
    }
}

struct wheel_entry *wheel_collect(struct timer_wheel *wheel, uint64_t now_ns) {
    if (wheel->young != NULL) {
        young_place(wheel);
    }
    if (wheel->due == NULL) {
        due_gather(wheel, now_ns);
    }
    struct wheel_entry *entry = wheel->due;
    if (entry != NULL) {
        wheel_unlink(entry);
        wheel->count--;
    }
    return entry;
}
