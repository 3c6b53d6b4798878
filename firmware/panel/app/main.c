/* The panel application: reads frames, keeps the display, the buzzer, the button and the Pi's power.
 *
 * One loop, no dynamic memory; everything that decides is in the pure files beside this one. */
#include <avr/io.h>
#include <avr/pgmspace.h>

#include "board.h"
#include "button.h"
#include "crc16.h"
#include "gauge.h"
#include "journal.h"
#include "layout.h"
#include "link.h"
#include "power.h"
#include "protocol.h"
#include "segments.h"

#ifndef APP_VERSION
#error "APP_VERSION is given by the Makefile"
#endif

/* A power-cycled Pi after this many silent seconds: power.c says 30; keep the table and the code one. */
_Static_assert(UPK_HEARTBEAT_MISSED * UPK_HEARTBEAT_MS == 30000UL, "power.c waits 30 s");

#define RESULT_DONE 0U
#define RESULT_BAD 1U
#define RESULT_NOT_NOW 2U

/* RAM that a reset of the processor leaves alone, at the same place in every version (Makefile). Two copies of the
 * up-time, written one after the other: a reset between two bytes of one leaves the other. */
static struct {
    struct journal journal;
    struct {
        uint32_t uptime_s;
        uint32_t check;
    } uptime[2];
} kept __attribute__((section(".noinit")));
#define KEPT_CHECK 0x6B65A5C3UL
static uint32_t uptime_s;

static struct link link = {.crc = CRC16_START};
static struct button button;
static struct power power;
static struct gauge gauge;
static struct log_state log_state;
static uint8_t digits[DIGITS];
static const uint8_t dark[DIGITS];
static uint8_t reset_cause;
static uint16_t unknown_messages;
static uint8_t last_sequence, last_type, last_result;
static bool last_known;
static const uint8_t *tune;

/* Patterns in steps of 50 ms, high bit: sound; low bits: steps; 0 ends. */
static const uint8_t silence[] PROGMEM = {0};
static const uint8_t next_patient[] PROGMEM = {0x84, 0x02, 0x84, 0};
static const uint8_t emergency[] PROGMEM = {0x84, 0x04, 0x84, 0x04, 0x84, 0x04, 0x84, 0x04, 0x94, 0};
static const uint8_t error_tone[] PROGMEM = {0x94, 0};
static const uint8_t short_tone[] PROGMEM = {0x82, 0};
static const uint8_t *const patterns[] = {silence, next_patient, emergency, error_tone, short_tone};

static uint8_t tune_steps;
static bool tune_sounds;

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, (uint16_t)value);
    put16(at + 2, (uint16_t)(value >> 16));
}

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static bool send(uint8_t sequence, uint8_t type, const uint8_t *payload, uint8_t length)
{
    uint8_t wire[LINK_WIRE_MAX];
    return board_uart_put(wire, link_encode(wire, sequence, type, payload, length));
}

static void read_meta(struct meta *meta)
{
    memcpy_P(meta, (const void *)(BANK_A + META_OFFSET), sizeof *meta);
}

static void happened(uint8_t kind, uint16_t value)
{
    struct log_record record = {kind, value, uptime_s, log_state.boots};

    journal_add(&kept.journal, kind, value, uptime_s);
    /* Presses come a hundred times a day and are the node's to record: they would wear out the log. */
    if (kind != EVENT_CALL_NEXT && kind != EVENT_RECALL)
        log_add(&log_state, &record, board_eeprom_write);
}

/* The node spoke to this application: it is no longer on trial. */
static void confirm_application(void)
{
    struct meta meta;
    uint8_t bytes[4];

    read_meta(&meta);
    put16(bytes, meta.crc);
    put16(bytes + 2, (uint16_t)~meta.crc);
    for (uint8_t i = 0; i < sizeof bytes; i++)
        board_eeprom_write((uint16_t)(EEPROM_CONFIRM + i), bytes[i]);
}

static void answer_hello(uint8_t sequence)
{
    uint8_t out[IDENTITY_SIZE];
    struct meta meta;

    read_meta(&meta);
    out[IDENTITY_PROTOCOL] = UPK_VERSION;
    out[IDENTITY_MODE] = 0;
    put16(out + IDENTITY_APP_VERSION, APP_VERSION);
    put16(out + IDENTITY_APP_CRC, meta.crc);
    out[IDENTITY_RESET_CAUSE] = reset_cause;
    put32(out + IDENTITY_UPTIME_S, uptime_s);
    put16(out + IDENTITY_BOOTS, log_state.boots);
    send(sequence, MSG_IDENTITY, out, sizeof out);
}

static void answer_heartbeat(uint8_t sequence)
{
    uint8_t out[STATUS_SIZE];

    put16(out + STATUS_BATTERY_MV, gauge_mv(&gauge, CHANNEL_BATTERY));
    put16(out + STATUS_INPUT_MV, gauge_mv(&gauge, CHANNEL_INPUT));
    out[STATUS_FLAGS] = (uint8_t)((power.mains_seen ? 1U : 0U) | (power.state >= POWER_WARNED ? 2U : 0U) |
                                  (power.state >= POWER_ASKED ? 4U : 0U) | (button.down ? 8U : 0U) |
                                  (power.updating ? 16U : 0U) | (power.heard ? 0U : 32U));
    put32(out + STATUS_UPTIME_S, uptime_s);
    out[STATUS_POWER_STATE] = (uint8_t)power.state;
    put16(out + STATUS_BAD_FRAMES, link.bad_frames);
    put16(out + STATUS_UNKNOWN, unknown_messages);
    put16(out + STATUS_STACK_FREE, board_stack_free());
    send(sequence, MSG_STATUS, out, sizeof out);
}

static void answer_log(uint8_t sequence, uint8_t back)
{
    uint8_t out[LOG_RECORD_SIZE] = {0};
    struct log_record record;

    out[LOG_RECORD_BACK] = back;
    if (log_get(&log_state, back, &record, board_eeprom_read)) {
        out[LOG_RECORD_KIND] = record.kind;
        put16(out + LOG_RECORD_VALUE, record.value);
        put32(out + LOG_RECORD_UPTIME_S, record.uptime_s);
        put16(out + LOG_RECORD_BOOTS, record.boots);
    }
    send(sequence, MSG_LOG_RECORD, out, sizeof out);
}

/* Commands that are answered by done. Returns the result. */
static uint8_t carry_out(uint8_t type, const uint8_t *payload, uint8_t length)
{
    switch (type) {
    case MSG_SHOW:
        if (!segments_of(digits, payload, length))
            return RESULT_BAD;
        board_display(digits);
        return RESULT_DONE;
    case MSG_BUZZ:
        if (length != BUZZ_SIZE || payload[BUZZ_PATTERN] >= sizeof patterns / sizeof *patterns)
            return RESULT_BAD;
        tune = patterns[payload[BUZZ_PATTERN]];
        tune_steps = 0;
        return RESULT_DONE;
    case MSG_SHUTDOWN_ACK:
        if (length != SHUTDOWN_ACK_SIZE)
            return RESULT_BAD;
        return power_shutdown_ack(&power, payload[SHUTDOWN_ACK_CUT_IN_S],
                                  get16(payload + SHUTDOWN_ACK_WAKE_IN_S) |
                                      (uint32_t)get16(payload + SHUTDOWN_ACK_WAKE_IN_S + 2U) << 16)
                   ? RESULT_DONE
                   : RESULT_NOT_NOW;
    case MSG_CALIBRATE:
        if (length != CALIBRATE_SIZE)
            return RESULT_BAD;
        return gauge_calibrate(&gauge, payload[CALIBRATE_CHANNEL], get16(payload + CALIBRATE_TRUE_MV), board_eeprom_write)
                   ? RESULT_DONE
                   : RESULT_BAD;
    default:
        return RESULT_NOT_NOW; /* the loader's commands */
    }
}

static void answer_command(uint8_t sequence, uint8_t type, const uint8_t *payload, uint8_t length)
{
    uint8_t out[DONE_SIZE];

    if (!(last_known && last_sequence == sequence && last_type == type)) {
        last_result = carry_out(type, payload, length);
        last_sequence = sequence;
        last_type = type;
        last_known = true;
    }
    out[DONE_COMMAND] = sequence;
    out[DONE_RESULT] = last_result;
    send(sequence, MSG_DONE, out, sizeof out);
}

static void dispatch(uint8_t sequence, uint8_t type, const uint8_t *payload, uint8_t length)
{
    switch (type) {
    case MSG_HELLO:
        last_known = false;
        answer_hello(sequence);
        return;
    case MSG_HEARTBEAT:
        if (length != HEARTBEAT_SIZE)
            break;
        power_heartbeat(&power, payload[HEARTBEAT_FLAGS] & 1U, payload[HEARTBEAT_FLAGS] & 2U);
        confirm_application();
        answer_heartbeat(sequence);
        return;
    case MSG_EVENT_ACK:
        if (length != EVENT_ACK_SIZE)
            break;
        journal_ack(&kept.journal, get16(payload + EVENT_ACK_NUMBER));
        return;
    case MSG_LOG_READ:
        if (length != LOG_READ_SIZE)
            break;
        answer_log(sequence, payload[LOG_READ_BACK]);
        return;
    case MSG_ENTER_LOADER:
        if (length != ENTER_LOADER_SIZE || get16(payload + ENTER_LOADER_MAGIC) != LOADER_MAGIC)
            break;
        loader_request = LOADER_MAGIC;
        board_restart();
    case MSG_SHOW:
    case MSG_BUZZ:
    case MSG_SHUTDOWN_ACK:
    case MSG_CALIBRATE:
    case MSG_UPLOAD_BEGIN:
    case MSG_UPLOAD_DATA:
    case MSG_UPLOAD_COMMIT:
    case MSG_START:
        answer_command(sequence, type, payload, length);
        return;
    default:
        break;
    }
    if (unknown_messages != UINT16_MAX)
        unknown_messages++;
}

static void receive(void)
{
    uint8_t length;

    for (int16_t byte = board_uart_get(); byte >= 0; byte = board_uart_get())
        if (link_receive(&link, (uint8_t)byte, &length))
            dispatch(link.buffer[0], link.buffer[1], link.buffer + 2, length);
}

static void say_event(void)
{
    const struct event *event = journal_head(&kept.journal);
    uint8_t out[EVENT_SIZE];

    if (!event)
        return;
    put16(out + EVENT_NUMBER, event->number);
    out[EVENT_KIND] = event->kind;
    put16(out + EVENT_VALUE, event->value);
    put32(out + EVENT_UPTIME_S, event->uptime_s);
    send(0, MSG_EVENT, out, sizeof out);
}

/* Every 50 ms. */
static void play(void)
{
    if (!tune)
        return;
    if (tune_steps == 0) {
        uint8_t step = pgm_read_byte(tune++);
        if (step == 0) {
            tune = 0;
            board_buzzer(false);
            return;
        }
        tune_steps = step & 0x7FU;
        tune_sounds = step & 0x80U;
        board_buzzer(tune_sounds);
    }
    tune_steps--;
}

/* Every 10 ms, the channels in turn. */
static void measure(void)
{
    static uint8_t channel;
    uint16_t counts;

    if (!board_adc_ready(&counts))
        return;
    gauge_sample(&gauge, channel, counts);
    channel = (uint8_t)((channel + 1U) % CHANNELS);
    board_adc_start((enum channel)channel);
}

static void watch_power(void)
{
    struct power_input input = {board_mains_present(), gauge_mv(&gauge, CHANNEL_BATTERY), button.down};
    bool was_on = power_pi_on(&power);
    enum event_kind kind = power_tick(&power, &input);

    if (!was_on && power_pi_on(&power))
        button.spent = true; /* the press that wakes the Pi calls nobody */
    board_pi_power(power_pi_on(&power));
    if (kind != EVENT_NONE)
        happened((uint8_t)kind, input.battery_mv);
}

static void keep_uptime(void)
{
    for (uint8_t copy = 0; copy < 2; copy++) {
        kept.uptime[copy].uptime_s = uptime_s;
        kept.uptime[copy].check = uptime_s ^ KEPT_CHECK;
    }
}

static void find_uptime(void)
{
    for (uint8_t copy = 0; copy < 2; copy++)
        if ((kept.uptime[copy].uptime_s ^ kept.uptime[copy].check) == KEPT_CHECK && kept.uptime[copy].uptime_s > uptime_s)
            uptime_s = kept.uptime[copy].uptime_s;
}

static void start(void)
{
    reset_cause = GPIOR0; /* the loader leaves MCUSR there */
    board_init();
    bool survived = journal_open(&kept.journal);
    if (survived)
        find_uptime();
    keep_uptime();
    gauge_open(&gauge, board_eeprom_read);
    log_open(&log_state, board_eeprom_read);
    if (!survived)
        log_state.boots++;
    power_init(&power, board_mains_present());
    board_adc_start(CHANNEL_BATTERY);
    board_display(digits);
    happened(EVENT_RESTARTED, reset_cause);
}

int main(void)
{
    uint16_t at_10 = 0, at_5 = 0, at_50 = 0, at_100 = 0, at_500 = 0, at_1000 = 0;
    bool said = false;

    start();
    for (;;) {
        uint16_t now = board_ms();

        board_pet_watchdog();
        receive();
        if ((uint16_t)(now - at_10) >= 10U) {
            at_10 = now;
            measure();
        }
        if ((uint16_t)(now - at_5) >= BUTTON_TICK_MS) {
            at_5 = (uint16_t)(at_5 + BUTTON_TICK_MS);
            enum button_event pressed = button_tick(&button, board_button_closed());
            if (pressed != BUTTON_NONE && power_pi_on(&power))
                happened(pressed == BUTTON_CALL_NEXT ? EVENT_CALL_NEXT : EVENT_RECALL, 0);
        }
        if ((uint16_t)(now - at_50) >= 50U) {
            at_50 = (uint16_t)(at_50 + 50U);
            play();
        }
        if ((uint16_t)(now - at_100) >= POWER_TICK_MS) {
            at_100 = (uint16_t)(at_100 + POWER_TICK_MS);
            watch_power();
        }
        /* A new event at once, then again and again until it is acknowledged. */
        bool waits = journal_head(&kept.journal) != 0;
        if (waits && (!said || (uint16_t)(now - at_500) >= UPK_EVENT_REPEAT_MS)) {
            at_500 = now;
            say_event();
        }
        said = waits;
        if ((uint16_t)(now - at_1000) >= 1000U) {
            at_1000 = (uint16_t)(at_1000 + 1000U);
            uptime_s++;
            keep_uptime();
            board_display(power_pi_on(&power) ? digits : dark);
        }
        board_idle();
    }
}
