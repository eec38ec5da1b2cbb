/* plant: which planted bug is switched on. Part of -Dplant=true builds alone. Threads: set once, before the others. */
#include "base/plant.h"

enum plant plant_chosen = PLANT_NONE;
