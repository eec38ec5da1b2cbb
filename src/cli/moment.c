/* Wall-clock times in text. The calendar is computed here: the C library's needs a time zone, and a lock. */
#include "cli/moment.h"

#include <stdio.h>

char *moment_utc(char out[MOMENT_BYTES], int64_t utc_ns) {
    int64_t seconds = utc_ns / 1000000000, days = seconds / 86400, rest = seconds % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    /* Days to civil date: eras of 400 years begin on 1 March (Hinnant, "chrono-compatible low-level date
     * algorithms"). */
    int64_t shifted = days + 719468, era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted_month = (5 * day_of_year + 2) / 153,
            day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    int64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    int64_t year = year_of_era + era * 400 + (month <= 2);
    snprintf(out, MOMENT_BYTES, "%04d-%02d-%02dT%02d:%02d:%02dZ", (int)year, (int)month, (int)day,
             (int)(rest / 3600), (int)(rest / 60 % 60), (int)(rest % 60));
    return out;
}

char *moment_age(char out[MOMENT_BYTES], int64_t utc_ns, int64_t now_utc_ns) {
    int64_t seconds = (now_utc_ns - utc_ns) / 1000000000;
    out[0] = '\0';
    if (utc_ns == 0)
        return out;
    if (seconds < 2) /* a clock that was set back too */
        snprintf(out, MOMENT_BYTES, "now");
    else if (seconds < 100)
        snprintf(out, MOMENT_BYTES, "%d s ago", (int)seconds);
    else if (seconds < 100 * 60)
        snprintf(out, MOMENT_BYTES, "%d min ago", (int)(seconds / 60));
    else if (seconds < 48 * 3600)
        snprintf(out, MOMENT_BYTES, "%d h ago", (int)(seconds / 3600));
    else
        snprintf(out, MOMENT_BYTES, "%lld days ago", (long long)(seconds / 86400));
    return out;
}
