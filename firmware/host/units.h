/* What the files of unit tests share. */
#ifndef UPK_UNITS_H
#define UPK_UNITS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(what)                                                                                                    \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #what);                                       \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

struct unit {
    const char *name;
    void (*run)(void);
};

#define TEST(name) {#name, name}

extern const struct unit power_units[];
extern const unsigned power_unit_count;

#endif
