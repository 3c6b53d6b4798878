/* Events: the queue to the node, and the log in EEPROM.
 *
 * The queue lives in RAM that a reset of the processor does not clear, so an event that nobody acknowledged is
 * said again after it. The log is a ring of records with a check byte; every record goes to the next place, so
 * that each cell is written once in 80 events. EEPROM access is given from outside; pure otherwise. */
#ifndef UPK_JOURNAL_H
#define UPK_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "layout.h"

#define EVENTS_KEPT 8U

struct event {
    uint16_t number;
    uint8_t kind;
    uint16_t value;
    uint32_t uptime_s;
};

struct journal {
    uint16_t magic;
    struct event events[EVENTS_KEPT];
    uint8_t first;
    uint8_t count;
    uint16_t next_number;
    uint16_t check; /* over the fields before: RAM after power-up is random */
};

struct log_state {
    uint8_t next;   /* place of the next record */
    uint16_t serial;
    uint16_t boots;
};

struct log_record {
    uint8_t kind;
    uint16_t value;
    uint32_t uptime_s;
    uint16_t boots;
};

typedef uint8_t (*eeprom_read_fn)(uint16_t address);
typedef void (*eeprom_write_fn)(uint16_t address, uint8_t byte);

/* Takes over a queue that survived a reset; empties one that did not. True when it survived. */
bool journal_open(struct journal *journal);
/* Adds an event; the oldest one is dropped when eight wait. Returns its number. */
uint16_t journal_add(struct journal *journal, uint8_t kind, uint16_t value, uint32_t uptime_s);
/* The event to be said now, or NULL. */
const struct event *journal_head(const struct journal *journal);
/* The node has stored this event. Other numbers are repetitions and ignored. */
void journal_ack(struct journal *journal, uint16_t number);

/* Finds the end of the ring. Torn and foreign records are passed over. */
void log_open(struct log_state *log, eeprom_read_fn read);
void log_add(struct log_state *log, const struct log_record *record, eeprom_write_fn write);
/* The record `back` places before the newest. False when there is none or it is damaged. */
bool log_get(const struct log_state *log, uint8_t back, struct log_record *record, eeprom_read_fn read);

#endif
