/*
 * One client of the load: a connection over TCP, TLS or WebSocket that sends messages of one size and counts
 * what comes back. What a message holds follows from who sends it and its number, so nothing is kept of what is
 * under way, and an answer that is lost, doubled or somebody else's is seen.
 */

#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>
#include <stdint.h>

enum { STAMP_BYTES = 8 };

enum scheme { SCHEME_TCP, SCHEME_TLS, SCHEME_WS };

/*
 * A client that is connected may still wait to be accepted, and for the manager to hear of it. It greets, and is
 * open once it is answered.
 */
enum client_state { CLIENT_CLOSED, CLIENT_CONNECTING, CLIENT_SHAKING_HANDS, CLIENT_GREETING, CLIENT_OPEN };

/* What a client expects to read. */
enum expectation {
	/* Its own messages, in order. */
	EXPECT_ECHO,
	/* The manager's broadcasts, in order, none missing. */
	EXPECT_BROADCAST,
};

struct ws_reader {
	/* Bytes of the frame's payload that are still to come, and of a header that came in part. */
	uint64_t remaining;
	uint8_t header[10];
	uint8_t header_bytes;
	bool control;
};

struct client {
	int fd;
	uint32_t index;
	enum client_state state;
	bool wants_write;
	/* Messages that it is to have sent, that it has sent, and bytes of the next one that are through. */
	uint64_t due, sent;
	uint32_t sent_bytes;
	/* Bytes of payload that came, and messages that they complete. */
	uint64_t received_bytes, received;
	uint32_t last_broadcast;
	/* The first bytes of the message that is arriving, which may come in parts. */
	uint8_t stamp[STAMP_BYTES];
	/* A ring: when each message under way was sent, or was to be sent, nanoseconds. */
	uint64_t *sent_at_ns;
	void *tls;
	struct ws_reader ws;
	/* What came of the answer to the upgrade. */
	uint16_t upgrade_bytes;
};

/* What all clients have in common. */
struct clients {
	enum scheme scheme;
	enum expectation expectation;
	uint32_t message_bytes;
	/* Messages that a ring of `sent_at_ns` holds: a power of two. */
	uint32_t ring;
	int epoll;
	uint64_t bytes_sent, bytes_received;
};

void clients_prepare(struct clients *clients);

/* Starts to connect; it is watched from here on, under its index. */
void client_connect(struct clients *clients, struct client *client, uint16_t port);

/* Goes on with connecting and shaking hands; true once the client can greet. Ends the program when it fails. */
bool client_advance(struct clients *clients, struct client *client);

/* Sends what is due, as far as the kernel takes it. */
void client_send(struct clients *clients, struct client *client);

/* Sends bytes that are no message of the usual size: a broadcaster's orders. They must fit the kernel's buffer. */
void client_send_raw(struct clients *clients, struct client *client, const uint8_t *bytes, uint32_t length);

/*
 * Greets: with its first message; or, when it expects broadcasts, with a byte of 0, whose echo counts as nothing.
 */
void client_greet(struct clients *clients, struct client *client);

/* Reads what is there; gives how many messages it completed. Ends the program when it is not what was expected. */
uint64_t client_receive(struct clients *clients, struct client *client);

/* Closes: in good order, or with a reset, which leaves nothing behind in the kernel. */
void client_close(struct client *client, bool reset);

#endif
