/* base: the vocabulary every floor shares: errors and faults, checks, accounted memory, arenas, text,
 * maps, heaps, JSON output, the option table, the log.
 *
 * Threads: plain data, no locks; a value is used by one thread at a time unless its header says otherwise.
 * Memory:  every allocation names an account; accounts read zero when their owner is gone.
 * Failure: calls that can fail return enum troupe_error or NULL (memory); a broken program is a CHECK. */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include "base/error.h"
#include "base/check.h"
#include "base/account.h"
#include "base/arena.h"
#include "base/buffer.h"
#include "base/map.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/decimal.h"
#include "base/random.h"
#include "base/log.h"
#include "base/config.h"
#include "base/plant.h"

#endif
