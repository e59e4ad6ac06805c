/*
 * Client sockets, read, written and accepted by descriptor, with one look for all of them. Knows nothing of what they
 * are for, and nothing of Node.js. Errors are negative numbers, as the kernel gives them.
 */

#ifndef SIDEGATE_POLLER_H
#define SIDEGATE_POLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	/* The most that one read takes: the memory for what is received has to be this large at the least. */
	READ_BYTES = 64 * 1024,
	/* The most records that one event comes to. */
	RECORDS_PER_EVENT = 3,
	/* "address port" */
	PEER_TEXT_BYTES = 64,
};

enum kind {
	/* memory[first..second) was received. */
	KIND_DATA = 0,
	/* The client has shut down its sending side. */
	KIND_END = 1,
	/* It can't be read any more, or is gone while it is paused; `first` is the error. */
	KIND_ERROR = 2,
	/* It takes more, after a send that it did not take whole. */
	KIND_WRITABLE = 3,
	/* A listener has accepted the descriptor `first`; below 0 it is the error by which somebody was not. */
	KIND_ARRIVAL = 4,
	/* The client has shut down its sending side, and is paused: KIND_END comes when it is read to its end. */
	KIND_ENDING = 5,
};

/* What is told of a descriptor. */
struct record {
	int32_t fd, kind, first, second;
};

struct poller {
	/* Set by the owner before poller_begin. `tell` takes records[0..record_count), which are gone behind it. */
	uint8_t *memory;
	size_t memory_bytes;
	struct record *records;
	uint32_t record_room;
	void (*tell)(struct poller *poller);
	/* There is a descriptor now, or none any more. */
	void (*in_use)(struct poller *poller, bool is);

	/* Its own. */
	int epoll;
	int spare;
	size_t memory_used;
	uint32_t record_count;
	struct socket *sockets;
	uint32_t socket_room, open_count;
};

/* @returns 0; `epoll` is then readable whenever poller_run has something to do */
int poller_begin(struct poller *poller);

/* Closes everything. */
void poller_end(struct poller *poller);

/* Tells everything that there is to tell. */
void poller_run(struct poller *poller);

/*
 * Accepts from a copy of a listening socket's descriptor; clients have the options of the socket that they come from.
 *
 * @param keep_alive_s seconds without a word after which the kernel asks a client whether it is still there
 * @returns the copy
 */
int poller_listen(struct poller *poller, int fd, int keep_alive_s);

/*
 * Gives a listener up, right behind the last who waits there: who comes between the two is reset. From within `tell` it
 * takes in nobody, because more can't be told there.
 */
void poller_stop(struct poller *poller, int fd);

/* Takes in a copy of a connected socket's descriptor; gives it. Nothing is read of a client before it is resumed. */
int poller_copy(struct poller *poller, int fd);

/* Where a client is, as "address port"; false when it is gone. */
bool poller_peer(struct poller *poller, int fd, char text[PEER_TEXT_BYTES]);

int poller_resume(struct poller *poller, int fd);
void poller_pause(struct poller *poller, int fd);

/* @returns how many bytes were taken, from the first on; when that is not all, it is told when there is room for more */
int poller_send(struct poller *poller, int fd, const void *bytes, size_t length);

/* The client is told that nothing more comes. */
int poller_shut_down(struct poller *poller, int fd);

/* Gives a client up: nothing more is told of it. */
void poller_close(struct poller *poller, int fd, bool resets);

#endif
