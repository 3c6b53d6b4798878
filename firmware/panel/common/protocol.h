/* Made by firmware/generate.py from firmware/protocol.toml; do not edit. */
#ifndef UPK_PROTOCOL_H
#define UPK_PROTOCOL_H

#define UPK_VERSION 1U
#define UPK_BAUD 38400UL
#define UPK_FRAME_MAX 48U
#define UPK_EVENT_REPEAT_MS 500U
#define UPK_HEARTBEAT_MS 1000U
#define UPK_HEARTBEAT_MISSED 30U

/* Who are you? The node asks after every open of the port; a greeting at reset would be lost. */
#define MSG_HELLO 0x01U
#define HELLO_SIZE 0U

/* Answer to hello. In the loader `mode` is 1. */
#define MSG_IDENTITY 0x41U
#define IDENTITY_PROTOCOL 0U
#define IDENTITY_MODE 1U
#define IDENTITY_APP_VERSION 2U
#define IDENTITY_APP_CRC 4U
#define IDENTITY_RESET_CAUSE 6U
#define IDENTITY_UPTIME_S 7U
#define IDENTITY_BOOTS 11U
#define IDENTITY_SIZE 13U

/* The node lives and its store answers. Also confirms a freshly updated application. */
#define MSG_HEARTBEAT 0x02U
#define HEARTBEAT_FLAGS 0U
#define HEARTBEAT_SIZE 1U

/* Answer to every heartbeat, with its sequence. */
#define MSG_STATUS 0x42U
#define STATUS_BATTERY_MV 0U
#define STATUS_INPUT_MV 2U
#define STATUS_FLAGS 4U
#define STATUS_UPTIME_S 5U
#define STATUS_POWER_STATE 9U
#define STATUS_BAD_FRAMES 10U
#define STATUS_UNKNOWN 12U
#define STATUS_STACK_FREE 14U
#define STATUS_SIZE 16U

/* Show a token on the eight digits; answered by done. */
#define MSG_SHOW 0x03U
#define SHOW_TEXT 0U
#define SHOW_MIN 0U

/* Sound a pattern; answered by done. */
#define MSG_BUZZ 0x04U
#define BUZZ_PATTERN 0U
#define BUZZ_SIZE 1U

/* The command with this sequence number was carried out, or why not. */
#define MSG_DONE 0x43U
#define DONE_COMMAND 0U
#define DONE_RESULT 1U
#define DONE_SIZE 2U

/* Something happened. Repeated every event_repeat_ms until event_ack. */
#define MSG_EVENT 0x44U
#define EVENT_NUMBER 0U
#define EVENT_KIND 2U
#define EVENT_VALUE 3U
#define EVENT_UPTIME_S 5U
#define EVENT_SIZE 9U

/* The node has stored this event. */
#define MSG_EVENT_ACK 0x05U
#define EVENT_ACK_NUMBER 0U
#define EVENT_ACK_SIZE 2U

/* The node has fsynced everything and halts; cut the power in so many seconds. */
#define MSG_SHUTDOWN_ACK 0x06U
#define SHUTDOWN_ACK_CUT_IN_S 0U
#define SHUTDOWN_ACK_WAKE_IN_S 1U
#define SHUTDOWN_ACK_SIZE 5U

/* Store the gain of a channel: the voltage that a meter reads now. Answered by done. */
#define MSG_CALIBRATE 0x07U
#define CALIBRATE_CHANNEL 0U
#define CALIBRATE_TRUE_MV 1U
#define CALIBRATE_SIZE 3U

/* Read a record of the event log in EEPROM; answered by log_record. */
#define MSG_LOG_READ 0x08U
#define LOG_READ_BACK 0U
#define LOG_READ_SIZE 1U

/* Answer to log_read; kind 0 when there is none. */
#define MSG_LOG_RECORD 0x45U
#define LOG_RECORD_BACK 0U
#define LOG_RECORD_KIND 1U
#define LOG_RECORD_VALUE 2U
#define LOG_RECORD_UPTIME_S 4U
#define LOG_RECORD_BOOTS 8U
#define LOG_RECORD_SIZE 10U

/* Leave the application and stay in the loader. Answered by identity once there. */
#define MSG_ENTER_LOADER 0x10U
#define ENTER_LOADER_MAGIC 0U
#define ENTER_LOADER_SIZE 2U

/* Loader: bank B becomes invalid and takes a new image. Answered by done. */
#define MSG_UPLOAD_BEGIN 0x11U
#define UPLOAD_BEGIN_LENGTH 0U
#define UPLOAD_BEGIN_CRC 2U
#define UPLOAD_BEGIN_VERSION 4U
#define UPLOAD_BEGIN_SIZE 6U

/* Loader: 32 bytes of the image, in order within a page; the fourth chunk writes the page. Answered by done. */
#define MSG_UPLOAD_DATA 0x12U
#define UPLOAD_DATA_CHUNK 0U
#define UPLOAD_DATA_DATA 2U
#define UPLOAD_DATA_MIN 2U

/* Loader: check bank B, write its meta page, copy it into bank A and start it. Answered by done before the copy. */
#define MSG_UPLOAD_COMMIT 0x13U
#define UPLOAD_COMMIT_SIZE 0U

/* Loader: leave the loader and start bank A if it is valid. Answered by done. */
#define MSG_START 0x14U
#define START_SIZE 0U

#endif
