/* Streams the configurations of a space one at a time: an odometer whose last variable turns fastest, which
 * skips inactive wheels, so that each configuration comes exactly once. State: one index a variable.
 * One thread at a time per stream. */
#include "space/space_private.h"

#include <math.h>
#include <string.h>

void space_stream_init(struct space_stream *stream, const struct space *space, unsigned points) {
    memset(stream, 0, sizeof *stream);
    stream->space = space;
    stream->points = points ? points : 1;
}

static uint64_t wheel_size(const struct space_stream *stream, const struct variable *variable) {
    return isfinite(variable->levels) ? (uint64_t)variable->levels : stream->points;
}

/* Continuous: evenly spaced on the scale, both ends included; one point is the middle. */
static double wheel_value(const struct space_stream *stream, const struct variable *variable,
                          uint64_t index) {
    if (isfinite(variable->levels))
        return variable_at(variable, index);
    return space_from_unit(variable, stream->points == 1 ? 0.5 : (double)index / (stream->points - 1));
}

static void configuration_fill(const struct space_stream *stream, struct configuration *configuration) {
    const struct space *space = stream->space;
    configuration->count = space->count;
    for (unsigned i = 0; i < space->count; i++)
        configuration->values[i] = variable_active(space, configuration->values, i)
                                       ? wheel_value(stream, &space->variables[i], stream->index[i])
                                       : NAN;
}

/* Turns the last active wheel that is not at its end; those after it start again. False: all have been seen.
 */
static bool wheels_turn(struct space_stream *stream, const struct configuration *configuration) {
    for (unsigned i = stream->space->count; i-- > 0;) {
        if (!isnan(configuration->values[i]) &&
            stream->index[i] + 1 < wheel_size(stream, &stream->space->variables[i])) {
            stream->index[i]++;
            return true;
        }
        stream->index[i] = 0;
    }
    return false;
}

bool space_stream_next(struct space_stream *stream, struct configuration *ret_configuration) {
    struct configuration current;
    unsigned skipped = 0;
    while (!stream->done) {
        if (stream->started) {
            configuration_fill(stream, &current);
            if (!wheels_turn(stream, &current)) {
                stream->done = true;
                break;
            }
        }
        stream->started = true;
        configuration_fill(stream, &current);
        if (space_feasible(stream->space, &current)) {
            ret_configuration->count = current.count;
            memcpy(ret_configuration->values, current.values, current.count * sizeof *current.values);
            return true;
        }
        if (++skipped == SPACE_STREAM_SKIP_MAX)
            stream->done = stream->gave_up = true;
    }
    return false;
}
