#include "journal.h"

#include <stddef.h>

#define JOURNAL_MAGIC 0x4A31U

static uint16_t journal_sum(const struct journal *journal)
{
    const uint8_t *bytes = (const uint8_t *)journal;
    uint16_t sum = 0x1D0F;

    for (uint8_t i = 0; i < offsetof(struct journal, check); i++)
        sum = (uint16_t)((uint16_t)(sum << 3 | sum >> 13) ^ bytes[i]);
    return sum;
}

bool journal_open(struct journal *journal)
{
    if (journal->magic == JOURNAL_MAGIC && journal->check == journal_sum(journal) && journal->first < EVENTS_KEPT &&
        journal->count <= EVENTS_KEPT)
        return true;
    uint8_t *bytes = (uint8_t *)journal;
    for (uint8_t i = 0; i < sizeof *journal; i++)
        bytes[i] = 0;
    journal->magic = JOURNAL_MAGIC;
    journal->next_number = 1;
    journal->check = journal_sum(journal);
    return false;
}

uint16_t journal_add(struct journal *journal, uint8_t kind, uint16_t value, uint32_t uptime_s)
{
    if (journal->count == EVENTS_KEPT) {
        journal->first = (uint8_t)((journal->first + 1U) % EVENTS_KEPT);
        journal->count--;
    }
    struct event *event = &journal->events[(journal->first + journal->count) % EVENTS_KEPT];
    event->number = journal->next_number++;
    event->kind = kind;
    event->value = value;
    event->uptime_s = uptime_s;
    journal->count++;
    journal->check = journal_sum(journal);
    return event->number;
}

const struct event *journal_head(const struct journal *journal)
{
    return journal->count ? &journal->events[journal->first] : NULL;
}

void journal_ack(struct journal *journal, uint16_t number)
{
    if (journal->count == 0 || journal->events[journal->first].number != number)
        return;
    journal->first = (uint8_t)((journal->first + 1U) % EVENTS_KEPT);
    journal->count--;
    journal->check = journal_sum(journal);
}

/* A record: serial 2, kind 1, value 2, uptime 4, boots 2, check 1; little-endian. */
static uint8_t record_check(const uint8_t *bytes)
{
    uint8_t check = 0xA5;

    for (uint8_t i = 0; i < LOG_RECORD_BYTES - 1U; i++)
        check = (uint8_t)((uint8_t)(check << 1 | check >> 7) ^ bytes[i]);
    return check;
}

static bool record_read(uint8_t place, uint8_t *bytes, eeprom_read_fn read)
{
    for (uint8_t i = 0; i < LOG_RECORD_BYTES; i++)
        bytes[i] = read((uint16_t)(EEPROM_LOG + (uint16_t)place * LOG_RECORD_BYTES + i));
    return bytes[LOG_RECORD_BYTES - 1U] == record_check(bytes) && bytes[2] != 0 && bytes[2] != 0xFF;
}

void log_open(struct log_state *log, eeprom_read_fn read)
{
    uint8_t bytes[LOG_RECORD_BYTES];
    bool found = false;

    *log = (struct log_state){0};
    for (uint8_t place = 0; place < LOG_RECORDS; place++) {
        if (!record_read(place, bytes, read))
            continue;
        uint16_t serial = (uint16_t)(bytes[0] | bytes[1] << 8);
        if (found && (int16_t)(serial - log->serial) < 0)
            continue;
        found = true;
        log->serial = serial;
        log->next = (uint8_t)((place + 1U) % LOG_RECORDS);
        log->boots = (uint16_t)(bytes[9] | bytes[10] << 8);
    }
}

void log_add(struct log_state *log, const struct log_record *record, eeprom_write_fn write)
{
    uint16_t serial = (uint16_t)(log->serial + 1U);
    uint8_t bytes[LOG_RECORD_BYTES] = {
        (uint8_t)serial,
        (uint8_t)(serial >> 8),
        record->kind,
        (uint8_t)record->value,
        (uint8_t)(record->value >> 8),
        (uint8_t)record->uptime_s,
        (uint8_t)(record->uptime_s >> 8),
        (uint8_t)(record->uptime_s >> 16),
        (uint8_t)(record->uptime_s >> 24),
        (uint8_t)record->boots,
        (uint8_t)(record->boots >> 8),
        0,
    };

    bytes[LOG_RECORD_BYTES - 1U] = record_check(bytes);
    for (uint8_t i = 0; i < LOG_RECORD_BYTES; i++)
        write((uint16_t)(EEPROM_LOG + (uint16_t)log->next * LOG_RECORD_BYTES + i), bytes[i]);
    log->serial = serial;
    log->next = (uint8_t)((log->next + 1U) % LOG_RECORDS);
}

bool log_get(const struct log_state *log, uint8_t back, struct log_record *record, eeprom_read_fn read)
{
    uint8_t bytes[LOG_RECORD_BYTES];

    if (back >= LOG_RECORDS)
        return false;
    uint8_t place = (uint8_t)((log->next + LOG_RECORDS - 1U - back) % LOG_RECORDS);
    if (!record_read(place, bytes, read) || (uint16_t)(bytes[0] | bytes[1] << 8) != (uint16_t)(log->serial - back))
        return false;
    record->kind = bytes[2];
    record->value = (uint16_t)(bytes[3] | bytes[4] << 8);
    record->uptime_s = (uint32_t)bytes[5] | (uint32_t)bytes[6] << 8 | (uint32_t)bytes[7] << 16 | (uint32_t)bytes[8] << 24;
    record->boots = (uint16_t)(bytes[9] | bytes[10] << 8);
    return true;
}
