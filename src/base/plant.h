/* PLANT(name): is the planted bug `name` (plant.def) switched on? Constant false, and no code, unless the tree is built
 * with -Dplant=true, which only the tests of the tests do. Threads: chosen before they start. */
#ifndef BASE_PLANT_H
#define BASE_PLANT_H

#include <stdbool.h>

enum plant {
    PLANT_NONE,
#define PLANT_BUG(name, suite, what) PLANT_##name,
#include "base/plant.def"
#undef PLANT_BUG
    PLANT_COUNT
};

#ifdef TROUPE_PLANT
extern enum plant plant_chosen;
#define PLANT(name) (plant_chosen == PLANT_##name)
#else
#define PLANT(name) ((bool)(PLANT_##name * 0))
#endif

#endif
