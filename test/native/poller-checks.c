/*
 * The poller without Node.js, in memory that is as small as may be and of exactly that size, so that what is written past its
 * end is seen (-fsanitize=address). `poller-checks NAME` carries out one check; test/native/poller.test.ts runs them all.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../gateway/native/poller.h"

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "line %d: %s (errno %d)\n", __LINE__, #condition, errno); \
			exit(1); \
		} \
	} while (0)

/* A poller, and what is to be done with each thing that it tells. */
struct world {
	struct poller poller;
	void (*heard)(struct world *world, const struct record *record);
};

static void tell(struct poller *poller)
{
	struct world *world = (struct world *)poller;
	CHECK(poller->record_count <= poller->record_room);
	CHECK(poller->memory_used <= poller->memory_bytes);
	for (uint32_t i = 0; i < poller->record_count; i++) world->heard(world, &poller->records[i]);
}

static void in_use(struct poller *poller, bool is)
{
	(void)poller;
	(void)is;
}

static void begin(struct world *world, size_t memory_bytes, uint32_t record_room)
{
	struct poller *poller = &world->poller;
	poller->memory_bytes = memory_bytes;
	poller->memory = malloc(memory_bytes);
	poller->record_room = record_room;
	poller->records = malloc(record_room * sizeof *poller->records);
	poller->tell = tell;
	poller->in_use = in_use;
	CHECK(poller->memory != NULL && poller->records != NULL);
	CHECK(poller_begin(poller) == 0);
}

static void end(struct world *world)
{
	poller_end(&world->poller);
	free(world->poller.memory);
	free(world->poller.records);
}

/* Gives a descriptor to the poller alone; gives its copy. */
static int hand_over(struct poller *poller, int fd)
{
	int copy = poller_copy(poller, fd);
	CHECK(copy >= 0);
	close(fd);
	return copy;
}

/* A client in packets, each of which is a read of its own, however much is asked for: `ends[1]` is to be the poller's. */
static void connect_packets(int ends[2])
{
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends) == 0);
}

/* Many clients whose last words come in many reads. */

enum { TALKERS = 48, WORDS = 6, MAX_FD = 1024 };

/* Their packets are of very different lengths, so that the memory is full at every place in one. */
static size_t word_bytes(int talker, int word)
{
	static const size_t lengths[] = {1, 30000, 7, 64 * 1024, 333, 20000, 2};
	return lengths[(size_t)(talker * 5 + word * 3) % (sizeof lengths / sizeof *lengths)];
}

static struct {
	int talker;
	size_t bytes;
	int ends;
} listened[MAX_FD];

static void hear_talker(struct world *world, const struct record *record)
{
	CHECK(record->fd < MAX_FD);
	if (record->kind == KIND_END) {
		listened[record->fd].ends++;
		return;
	}
	CHECK(record->kind == KIND_DATA && listened[record->fd].ends == 0);
	CHECK(record->first < record->second && (size_t)record->second <= world->poller.memory_bytes);
	for (int32_t at = record->first; at < record->second; at++)
		CHECK(world->poller.memory[at] == (uint8_t)listened[record->fd].talker);
	listened[record->fd].bytes += (size_t)(record->second - record->first);
}

static void last_words(size_t memory_bytes, uint32_t record_room)
{
	struct world world = {.heard = hear_talker};
	static uint8_t word[READ_BYTES];
	int fds[TALKERS], clients[TALKERS], ends[2];
	memset(listened, 0, sizeof listened);
	begin(&world, memory_bytes, record_room);
	for (int talker = 0; talker < TALKERS; talker++) {
		connect_packets(ends);
		clients[talker] = ends[0];
		int fd = fds[talker] = hand_over(&world.poller, ends[1]);
		int buffer_bytes = 1 << 20;
		setsockopt(clients[talker], SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof buffer_bytes);
		listened[fd].talker = talker;
		memset(word, talker, sizeof word);
		for (int i = 0; i < WORDS; i++)
			CHECK(send(clients[talker], word, word_bytes(talker, i), 0) == (ssize_t)word_bytes(talker, i));
		CHECK(shutdown(clients[talker], SHUT_WR) == 0);
	}
	/* All are heard in one batch. */
	for (int talker = 0; talker < TALKERS; talker++) CHECK(poller_resume(&world.poller, fds[talker]) == 0);
	for (int turn = 0; turn < TALKERS * WORDS; turn++) poller_run(&world.poller);
	for (int talker = 0; talker < TALKERS; talker++) {
		size_t bytes = 0;
		for (int i = 0; i < WORDS; i++) bytes += word_bytes(talker, i);
		CHECK(listened[fds[talker]].bytes == bytes);
		CHECK(listened[fds[talker]].ends == 1);
		close(clients[talker]);
	}
	end(&world);
}

static void memory_is_full(void)
{
	last_words(READ_BYTES, 4096);
	last_words(READ_BYTES + 100, 4096);
}

static void records_are_full(void)
{
	for (uint32_t room = RECORDS_PER_EVENT; room < 9; room++) last_words(1 << 20, room);
}

/* A client that has the descriptor of one that was given up in the same batch. */

static struct {
	int fds[2];
	/* Is to have the descriptor of one of those. */
	int heir, inherited;
	int told_of_heir;
} heirs;

static void hear_heirs(struct world *world, const struct record *record)
{
	if (record->fd == heirs.inherited) {
		heirs.told_of_heir++;
		return;
	}
	if (heirs.inherited >= 0) return;
	/* Whichever is told of first, the other's event lies in the same batch. */
	poller_close(&world->poller, record->fd == heirs.fds[0] ? heirs.fds[1] : heirs.fds[0], false);
	heirs.inherited = hand_over(&world->poller, heirs.heir);
}

static void descriptor_is_used_again(void)
{
	struct world world = {.heard = hear_heirs};
	int clients[3], ends[2];
	heirs.inherited = -1;
	/* No room for what a second event may come to: the first is told of before that. */
	begin(&world, 1 << 20, RECORDS_PER_EVENT);
	for (int i = 0; i < 3; i++) {
		connect_packets(ends);
		clients[i] = ends[0];
		CHECK(send(clients[i], "word", 4, 0) == 4);
		if (i < 2) heirs.fds[i] = hand_over(&world.poller, ends[1]);
		else heirs.heir = ends[1];
	}
	for (int i = 0; i < 2; i++) CHECK(poller_resume(&world.poller, heirs.fds[i]) == 0);
	poller_run(&world.poller);
	CHECK(heirs.inherited == heirs.fds[0] || heirs.inherited == heirs.fds[1]);
	/* It has said something, and nobody has asked for it yet. */
	CHECK(heirs.told_of_heir == 0);
	CHECK(poller_resume(&world.poller, heirs.inherited) == 0);
	poller_run(&world.poller);
	CHECK(heirs.told_of_heir == 1);
	for (int i = 0; i < 3; i++) close(clients[i]);
	end(&world);
}

/* A listener that has the descriptor of one that was stopped while it was being stopped. */

static int listen_anywhere(struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	socklen_t length = sizeof *address;
	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)address, length) == 0 && listen(fd, 64) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)address, &length) == 0);
	return fd;
}

static int connect_to(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0);
	return fd;
}

static struct {
	int listener, other;
	bool stopped;
	int arrivals, late_arrivals;
} doors;

static void hear_doors(struct world *world, const struct record *record)
{
	CHECK(record->kind == KIND_ARRIVAL && record->fd == doors.listener);
	if (doors.stopped) {
		doors.late_arrivals++;
	} else if (++doors.arrivals == RECORDS_PER_EVENT) {
		doors.stopped = true;
		poller_stop(&world->poller, doors.listener);
		/* The lowest descriptor that is free is the one that was just given up. */
		CHECK(poller_listen(&world->poller, doors.other, 60) == doors.listener);
	}
}

static void listener_is_stopped_twice(void)
{
	enum { VISITORS = RECORDS_PER_EVENT + 2 };
	struct world world = {.heard = hear_doors};
	struct sockaddr_in address, other_address;
	int clients[VISITORS];
	begin(&world, 1 << 20, RECORDS_PER_EVENT);
	int listening = listen_anywhere(&address);
	doors.other = listen_anywhere(&other_address);
	doors.listener = poller_listen(&world.poller, listening, 60);
	CHECK(doors.listener >= 0);
	for (int i = 0; i < VISITORS; i++) clients[i] = connect_to(&address);
	int late = connect_to(&other_address);
	poller_stop(&world.poller, doors.listener);
	CHECK(doors.arrivals == RECORDS_PER_EVENT && doors.stopped);
	/* The second listener was not stopped with the first. */
	CHECK(doors.late_arrivals == 0);
	poller_run(&world.poller);
	CHECK(doors.late_arrivals == 1);
	for (int i = 0; i < VISITORS; i++) close(clients[i]);
	close(late);
	close(listening);
	close(doors.other);
	end(&world);
}

/* Somebody who can't be accepted. */

static struct {
	/* So many times more accepting fails, with this error. */
	int times, error;
	int told[4], told_count;
} failing;

int __real_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);

/* In place of the kernel's (-Wl,--wrap=accept4). */
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	if (failing.times == 0) return __real_accept4(fd, address, length, flags);
	failing.times--;
	errno = failing.error;
	return -1;
}

static void hear_failing(struct world *world, const struct record *record)
{
	(void)world;
	CHECK(record->kind == KIND_ARRIVAL && failing.told_count < 4);
	failing.told[failing.told_count++] = record->first;
}

/* One of two can't be accepted; `is_sent_away`: and is not there any more. */
static void accepting_fails(int error, bool is_sent_away)
{
	struct world world = {.heard = hear_failing};
	struct sockaddr_in address;
	memset(&failing, 0, sizeof failing);
	begin(&world, 1 << 20, RECORDS_PER_EVENT);
	int listening = listen_anywhere(&address);
	CHECK(poller_listen(&world.poller, listening, 60) >= 0);
	int clients[2] = {connect_to(&address), connect_to(&address)};
	failing.times = 1;
	failing.error = error;
	poller_run(&world.poller);
	CHECK(failing.told[0] == -error);
	CHECK(failing.told_count == (is_sent_away ? 2 : 3));
	for (int i = 1; i < failing.told_count; i++) CHECK(failing.told[i] >= 0);
	for (int i = 0; i < 2; i++) close(clients[i]);
	close(listening);
	end(&world);
}

static void arrival_fails(void)
{
	accepting_fails(ECONNABORTED, false);
	accepting_fails(EMFILE, true);
}

static const struct {
	const char *name;
	void (*run)(void);
} checks[] = {
	{"memory-is-full", memory_is_full},
	{"records-are-full", records_are_full},
	{"descriptor-is-used-again", descriptor_is_used_again},
	{"listener-is-stopped-twice", listener_is_stopped_twice},
	{"arrival-fails", arrival_fails},
};

int main(int count, char **arguments)
{
	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
		if (count != 2 || strcmp(arguments[1], checks[i].name) != 0) continue;
		checks[i].run();
		return 0;
	}
	fprintf(stderr, "poller-checks NAME\n");
	return 2;
}
