/* An arena: allocations that die together. Not thread-safe. Zeroed memory, 16-byte aligned. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/account.h"
#include "base/error.h"

struct arena_block;
struct arena {
    struct account *account;
    struct arena_block *blocks; /* newest first */
    size_t used, size;          /* of the newest */
    size_t total;               /* bytes handed out, for bounds */
};

void arena_init(struct arena *arena, struct account *account);
void *arena_alloc(struct arena *arena, size_t bytes);                   /* NULL: out of memory */
char *arena_copy(struct arena *arena, const char *text, size_t length); /* NUL-terminated */
char *arena_format(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);
void arena_free(struct arena *arena); /* everything; the arena may be used again */

#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_alloc((arena), sizeof(type) * (count)))

#endif
