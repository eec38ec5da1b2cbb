/* What SQLite stands on here: base's library allocator, and a file layer over env_file for the simulation's
 * memory disk: each registered instance belongs to one env.
 *
 * Invariants: a file made here reaches its directory durably with its first sync, as SQLite expects of a
 *             VFS; locks are no-ops, so a database on it is used in exclusive locking mode (WAL then needs
 *             no shared memory).
 * Threads: register and unregister from any thread; files by one thread at a time.
 * Memory:  one block of the account for each instance; files live in blocks that SQLite allocates. */
#ifndef STORE_PORT_SQLITE_VFS_H
#define STORE_PORT_SQLITE_VFS_H

#include "env/env.h"

/* Starts SQLite with our allocator, once; cheap when it runs. Any thread. NOMEM: may be tried again. */
MUST_CHECK enum troupe_error store_library_start(struct fault *fault);

struct store_vfs;
/* After store_library_start. */
MUST_CHECK enum troupe_error store_vfs_register(struct env *env, struct account *account,
                                                struct store_vfs **ret_vfs);
const char *store_vfs_name(const struct store_vfs *vfs); /* for sqlite3_open_v2 */
void store_vfs_unregister(struct store_vfs *vfs);        /* its databases are closed; NULL is fine */

#endif
