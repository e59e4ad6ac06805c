/*
 * Reads, writes and accepts client sockets for gateway/transports/poller.ts, past libuv and Node: all sockets that have
 * something are read in one go, and JavaScript is called once for all of them. It knows sockets by their descriptors and
 * nothing of what they are for. Everything runs on the event loop's thread.
 *
 * Sockets are watched edge-triggered, so that one epoll_ctl lasts for a socket's life: who is not read, because it was
 * paused or had more than one read takes, is looked at again when asked for.
 *
 * Errors are given as negative numbers, as the kernel gives them.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#define NAPI_VERSION 8
#include <node_api.h>

enum {
	MAX_EVENTS = 512,
	/* A turn takes in no more new clients than this from a listener, so that the others are heard too. */
	MAX_ACCEPTS = 64,
	READ_BYTES = 64 * 1024,
	/* The most that one event comes to. */
	RECORDS_PER_EVENT = 3,
	MAX_ARGUMENTS = 3,
};

/* As libuv has them. */
static const int KEEP_ALIVE_INTERVAL_S = 1, KEEP_ALIVE_PROBES = 10;

/* What JavaScript is told, four numbers each: the descriptor, what of it, and two more. */
enum { RECORD_NUMBERS = 4 };
enum kind {
	/* memory[third..fourth) was received. */
	KIND_DATA = 0,
	/* The client has shut down its sending side. */
	KIND_END = 1,
	/* It is gone; the third number says why. */
	KIND_ERROR = 2,
	/* More can be sent to it. */
	KIND_WRITABLE = 3,
	/* A listener has accepted the descriptor that the third number is. */
	KIND_ARRIVAL = 4,
};

enum use { USE_NONE, USE_LISTENER, USE_CLIENT };

struct socket {
	/* Tells a socket from one that had its descriptor before. */
	uint32_t generation;
	uint8_t use;
	bool watched, paused, ended, wants_write;
};

struct poller {
	napi_env env;
	napi_ref memory_ref, records_ref, told_ref;
	napi_async_cleanup_hook_handle cleanup;
	uv_poll_t *poll;
	int epoll;
	/* Given up for a moment when there are no descriptors left, so that who waits can be sent away. */
	int spare;
	uint8_t *memory;
	size_t memory_bytes, memory_used;
	int32_t *records;
	uint32_t record_room, record_count;
	struct socket *sockets;
	uint32_t socket_room, open_count;
};

static struct socket *find(struct poller *poller, int fd)
{
	if (fd < 0 || (uint32_t)fd >= poller->socket_room) return NULL;
	struct socket *socket = &poller->sockets[fd];
	return socket->use == USE_NONE ? NULL : socket;
}

/* The loop goes on as long as there is a socket. */
static void count_open(struct poller *poller, int by)
{
	bool was = poller->open_count > 0;
	poller->open_count += (uint32_t)by;
	bool is = poller->open_count > 0;
	if (is && !was) uv_ref((uv_handle_t *)poller->poll);
	if (was && !is) uv_unref((uv_handle_t *)poller->poll);
}

/* @returns 0, or an error */
static int adopt(struct poller *poller, int fd, enum use use)
{
	if ((uint32_t)fd >= poller->socket_room) {
		uint32_t room = poller->socket_room * 2 > (uint32_t)fd ? poller->socket_room * 2 : (uint32_t)fd + 1;
		struct socket *sockets = realloc(poller->sockets, room * sizeof *sockets);
		if (sockets == NULL) return -ENOMEM;
		memset(sockets + poller->socket_room, 0, (room - poller->socket_room) * sizeof *sockets);
		poller->sockets = sockets;
		poller->socket_room = room;
	}
	struct socket *socket = &poller->sockets[fd];
	*socket = (struct socket){.generation = socket->generation + 1, .use = (uint8_t)use};
	count_open(poller, 1);
	return 0;
}

static int watch(struct poller *poller, int fd, struct socket *socket)
{
	int operation = socket->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	struct epoll_event event = {
		.events = socket->use == USE_LISTENER ? EPOLLIN : EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.u64 = (uint64_t)socket->generation << 32 | (uint32_t)fd,
	};
	if (epoll_ctl(poller->epoll, operation, fd, &event) < 0) return -errno;
	socket->watched = true;
	return 0;
}

static void discard(struct poller *poller, int fd)
{
	poller->sockets[fd].use = USE_NONE;
	close(fd);
	count_open(poller, -1);
}

/* What is told. */

static void record(struct poller *poller, int fd, enum kind kind, int32_t third, int32_t fourth)
{
	int32_t *numbers = poller->records + (size_t)poller->record_count++ * RECORD_NUMBERS;
	numbers[0] = fd;
	numbers[1] = kind;
	numbers[2] = third;
	numbers[3] = fourth;
}

static bool has_room(const struct poller *poller, uint32_t records)
{
	return poller->record_room - poller->record_count >= records &&
	       poller->memory_bytes - poller->memory_used >= READ_BYTES;
}

static void tell(struct poller *poller)
{
	if (poller->record_count == 0) return;
	napi_env env = poller->env;
	napi_handle_scope scope;
	napi_value told, global, count;
	napi_open_handle_scope(env, &scope);
	napi_get_reference_value(env, poller->told_ref, &told);
	napi_get_global(env, &global);
	napi_create_uint32(env, poller->record_count, &count);
	if (napi_make_callback(env, NULL, global, told, 1, &count, NULL) == napi_pending_exception) {
		napi_value error;
		napi_get_and_clear_last_exception(env, &error);
		napi_fatal_exception(env, error);
	}
	napi_close_handle_scope(env, scope);
	poller->record_count = 0;
	poller->memory_used = 0;
}

/* What the kernel says. */

/* With no descriptor left, who waits is accepted with the spare one, and closed: it would be told again and again. */
static bool send_away(struct poller *poller, int listener)
{
	if (poller->spare < 0) return false;
	close(poller->spare);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0) close(fd);
	poller->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd >= 0;
}

/* Accepts who waits; no more at once than `most`, or than there is room for. */
static void accept_some(struct poller *poller, int listener, uint32_t most)
{
	for (uint32_t i = 0; i < most && poller->record_count < poller->record_room; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			if (adopt(poller, fd, USE_CLIENT) == 0) record(poller, listener, KIND_ARRIVAL, fd, 0);
			else close(fd);
		} else if (errno == EMFILE || errno == ENFILE) {
			if (!send_away(poller, listener)) return;
		} else if (errno != ECONNABORTED && errno != EINTR) {
			return;
		}
	}
}

/* Reads once. What fills its read is looked at again, behind the others. */
static void read_client(struct poller *poller, int fd, struct socket *socket, bool has_ended)
{
	for (;;) {
		ssize_t length = recv(fd, poller->memory + poller->memory_used, READ_BYTES, 0);
		if (length > 0) {
			int32_t start = (int32_t)poller->memory_used;
			poller->memory_used += (size_t)length;
			record(poller, fd, KIND_DATA, start, (int32_t)poller->memory_used);
			if (length == READ_BYTES) {
				watch(poller, fd, socket);
				return;
			}
			/* Less than was asked for is all there was, but for the end. */
			if (!has_ended || !has_room(poller, 1)) {
				if (has_ended) watch(poller, fd, socket);
				return;
			}
		} else if (length == 0) {
			socket->ended = true;
			record(poller, fd, KIND_END, 0, 0);
			return;
		} else if (errno == EINTR) {
			continue;
		} else {
			if (errno != EAGAIN) record(poller, fd, KIND_ERROR, -errno, 0);
			return;
		}
	}
}

static void heard(struct poller *poller, const struct epoll_event *event)
{
	int fd = (int)(uint32_t)event->data.u64;
	struct socket *socket = find(poller, fd);
	/* It was closed since, by what was told before. */
	if (socket == NULL || socket->generation != (uint32_t)(event->data.u64 >> 32)) return;
	if (socket->use == USE_LISTENER) {
		accept_some(poller, fd, MAX_ACCEPTS);
		return;
	}
	if ((event->events & EPOLLOUT) != 0 && socket->wants_write) {
		socket->wants_write = false;
		record(poller, fd, KIND_WRITABLE, 0, 0);
	}
	if (socket->paused || socket->ended) return;
	if ((event->events & ~(uint32_t)EPOLLOUT) != 0)
		read_client(poller, fd, socket, (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
}

static void on_ready(uv_poll_t *handle, int status, int events)
{
	(void)status;
	(void)events;
	struct poller *poller = handle->data;
	struct epoll_event ready[MAX_EVENTS];
	int count = epoll_wait(poller->epoll, ready, MAX_EVENTS, 0);
	for (int i = 0; i < count; i++) {
		if (!has_room(poller, RECORDS_PER_EVENT)) tell(poller);
		heard(poller, &ready[i]);
	}
	tell(poller);
}

/* What JavaScript asks for. */

static struct poller *arguments(napi_env env, napi_callback_info info, napi_value *values)
{
	size_t count = MAX_ARGUMENTS;
	struct poller *poller;
	napi_get_cb_info(env, info, &count, values, NULL, (void **)&poller);
	return poller;
}

static int to_int(napi_env env, napi_value value)
{
	int32_t number = -1;
	napi_get_value_int32(env, value, &number);
	return number;
}

static napi_value from_int(napi_env env, int number)
{
	napi_value value;
	napi_create_int32(env, number, &value);
	return value;
}

static int copy(struct poller *poller, int descriptor, enum use use)
{
	int fd = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
	if (fd < 0) return -errno;
	int failed = adopt(poller, fd, use);
	if (failed == 0) return fd;
	close(fd);
	return failed;
}

/*
 * listen(descriptor, keepAliveSeconds): accepts from a copy of a listening socket's descriptor; gives the copy. Clients have
 * the options of the socket that they come from.
 */
static napi_value js_listen(napi_env env, napi_callback_info info)
{
	napi_value values[MAX_ARGUMENTS];
	struct poller *poller = arguments(env, info, values);
	int fd = copy(poller, to_int(env, values[0]), USE_LISTENER);
	if (fd < 0) return from_int(env, fd);
	const int yes = 1, idle = to_int(env, values[1]);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &KEEP_ALIVE_INTERVAL_S, sizeof KEEP_ALIVE_INTERVAL_S);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &KEEP_ALIVE_PROBES, sizeof KEEP_ALIVE_PROBES);
	int failed = watch(poller, fd, &poller->sockets[fd]);
	if (failed == 0) return from_int(env, fd);
	discard(poller, fd);
	return from_int(env, failed);
}

/* copy(descriptor): takes in a copy of a connected socket's descriptor, and gives it. */
static napi_value js_copy(napi_env env, napi_callback_info info)
{
	napi_value values[MAX_ARGUMENTS];
	struct poller *poller = arguments(env, info, values);
	return from_int(env, copy(poller, to_int(env, values[0]), USE_CLIENT));
}

/* peer(descriptor): "address port", or nothing when it is gone already. */
static napi_value js_peer(napi_env env, napi_callback_info info)
{
	napi_value values[MAX_ARGUMENTS], text;
	struct poller *poller = arguments(env, info, values);
	int fd = to_int(env, values[0]);
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} peer;
	socklen_t length = sizeof peer;
	char address[INET6_ADDRSTRLEN + sizeof " 65535"] = "";
	if (find(poller, fd) != NULL && getpeername(fd, &peer.any, &length) == 0) {
		bool is_v6 = peer.any.sa_family == AF_INET6;
		const void *bytes = is_v6 ? (const void *)&peer.v6.sin6_addr : (const void *)&peer.v4.sin_addr;
		inet_ntop(peer.any.sa_family, bytes, address, INET6_ADDRSTRLEN);
		uint16_t port = ntohs(is_v6 ? peer.v6.sin6_port : peer.v4.sin_port);
		size_t end = strlen(address);
		snprintf(address + end, sizeof address - end, " %u", port);
	}
	napi_create_string_utf8(env, address, NAPI_AUTO_LENGTH, &text);
	return text;
}

/* resume(descriptor): reads it, from now on. */
static napi_value js_resume(napi_env env, napi_callback_info info)
{
	napi_value values[MAX_ARGUMENTS];
	struct poller *poller = arguments(env, info, values);
	int fd = to_int(env, values[0]);
	struct socket *socket = find(poller, fd);
	if (socket == NULL) return from_int(env, -EBADF);
	if (socket->watched && !socket->paused) return from_int(env, 0);
	socket->paused = false;
	return from_int(env, watch(poller, fd, socket));
}

/* pause(descriptor): reads no more of it. */
static napi_value js_pause(napi_env env, napi_callback_info info)
{
	napi_value values[MAX_ARGUMENTS];
	struct poller *poller = arguments(env, info, values);
	struct socket *socket = find(poller, to_int(env, values[0]));
	if (socket != NULL) socket->paused = true;
	return NULL;
}

/* send(descriptor, bytes): gives how many of them were taken. When it is not all, it is told when there is room for more. */
static napi_value js_send(napi_env env, napi_callback_info info)
{
	napi_value values[MAX_ARGUMENTS];
	struct poller *poller = arguments(env, info, values);
	int fd = to_int(env, values[0]);
	struct socket *socket = find(poller, fd);
	void *bytes;
	size_t length;
	if (socket == NULL || socket->use != USE_CLIENT) return from_int(env, -EBADF);
	if (napi_get_buffer_info(env, values[1], &bytes, &length) != napi_ok || length > INT32_MAX)
		return from_int(env, -EINVAL);
	ssize_t sent;
	do sent = send(fd, bytes, length, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno != EAGAIN) return from_int(env, -errno);
	if (sent < 0) sent = 0;
	if ((size_t)sent == length) return from_int(env, (int)sent);
	socket->wants_write = true;
	/* One that was never read is not watched yet. */
	if (!socket->watched) {
		socket->paused = true;
		watch(poller, fd, socket);
	}
	return from_int(env, (int)sent);
}

/* shutDown(descriptor): the client is told that nothing more comes. */
static napi_value js_shut_down(napi_env env, napi_callback_info info)
{
	napi_value values[MAX_ARGUMENTS];
	struct poller *poller = arguments(env, info, values);
	int fd = to_int(env, values[0]);
	if (find(poller, fd) == NULL) return from_int(env, -EBADF);
	return from_int(env, shutdown(fd, SHUT_WR) < 0 ? -errno : 0);
}

/*
 * stop(descriptor): gives a listener up, right behind the last who waits there: who comes between the two is reset. From
 * within what is told it takes in nobody, because more can't be told there.
 */
static napi_value js_stop(napi_env env, napi_callback_info info)
{
	napi_value values[MAX_ARGUMENTS];
	struct poller *poller = arguments(env, info, values);
	int fd = to_int(env, values[0]);
	const struct socket *socket = find(poller, fd);
	if (socket == NULL || socket->use != USE_LISTENER) return NULL;
	bool may_tell = poller->record_count == 0;
	if (may_tell) {
		accept_some(poller, fd, UINT32_MAX);
		while (poller->record_count == poller->record_room) {
			tell(poller);
			accept_some(poller, fd, UINT32_MAX);
		}
	}
	discard(poller, fd);
	if (may_tell) tell(poller);
	return NULL;
}

/* close(descriptor, resets): gives a socket up, with a reset if that is wanted. */
static napi_value js_close(napi_env env, napi_callback_info info)
{
	napi_value values[MAX_ARGUMENTS];
	struct poller *poller = arguments(env, info, values);
	int fd = to_int(env, values[0]);
	bool resets = false;
	napi_get_value_bool(env, values[1], &resets);
	if (find(poller, fd) == NULL) return NULL;
	const struct linger now = {.l_onoff = 1, .l_linger = 0};
	if (resets) setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	discard(poller, fd);
	return NULL;
}

static void torn_down(uv_handle_t *handle)
{
	struct poller *poller = handle->data;
	napi_remove_async_cleanup_hook(poller->cleanup);
	free(poller->sockets);
	free(poller);
	free(handle);
}

static void tear_down(napi_async_cleanup_hook_handle cleanup, void *data)
{
	(void)cleanup;
	struct poller *poller = data;
	for (uint32_t fd = 0; fd < poller->socket_room; fd++)
		if (poller->sockets[fd].use != USE_NONE) close((int)fd);
	uv_close((uv_handle_t *)poller->poll, torn_down);
	close(poller->epoll);
	if (poller->spare >= 0) close(poller->spare);
}

static napi_value fail(napi_env env, const char *message)
{
	napi_throw_error(env, NULL, message);
	return NULL;
}

/* Takes what start is given. */
static bool take_buffers(struct poller *poller, napi_env env, napi_value *values)
{
	napi_typedarray_type type;
	napi_valuetype told;
	size_t numbers;
	void *memory, *records;
	if (napi_get_buffer_info(env, values[0], &memory, &poller->memory_bytes) != napi_ok ||
	    napi_get_typedarray_info(env, values[1], &type, &numbers, &records, NULL, NULL) != napi_ok ||
	    napi_typeof(env, values[2], &told) != napi_ok)
		return false;
	poller->memory = memory;
	poller->records = records;
	poller->record_room = (uint32_t)(numbers / RECORD_NUMBERS);
	return poller->memory_bytes >= READ_BYTES && poller->memory_bytes <= INT32_MAX && type == napi_int32_array &&
	       poller->record_room >= RECORDS_PER_EVENT && told == napi_function;
}

/*
 * start(memory, records, told): what is received goes to `memory`, what is told to the Int32Array `records`, and `told` is
 * called with the number of records. Gives what can be asked for.
 */
static napi_value js_start(napi_env env, napi_callback_info info)
{
	napi_value values[MAX_ARGUMENTS], methods;
	arguments(env, info, values);
	struct poller *poller = calloc(1, sizeof *poller);
	if (poller == NULL) return fail(env, "out of memory");
	uv_loop_t *loop;
	napi_get_uv_event_loop(env, &loop);
	poller->env = env;
	poller->poll = calloc(1, uv_handle_size(UV_POLL));
	poller->epoll = epoll_create1(EPOLL_CLOEXEC);
	bool taken = take_buffers(poller, env, values);
	if (!taken || poller->poll == NULL || poller->epoll < 0 || uv_poll_init(loop, poller->poll, poller->epoll) != 0) {
		if (poller->epoll >= 0) close(poller->epoll);
		free(poller->poll);
		free(poller);
		return fail(env, taken ? "epoll can't be had" : "start wants a Buffer, an Int32Array and a function");
	}
	poller->poll->data = poller;
	poller->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	napi_create_reference(env, values[0], 1, &poller->memory_ref);
	napi_create_reference(env, values[1], 1, &poller->records_ref);
	napi_create_reference(env, values[2], 1, &poller->told_ref);
	napi_add_async_cleanup_hook(env, tear_down, poller, &poller->cleanup);
	uv_poll_start(poller->poll, UV_READABLE, on_ready);
	uv_unref((uv_handle_t *)poller->poll);

	const struct {
		const char *name;
		napi_callback run;
	} all[] = {{"listen", js_listen}, {"copy", js_copy}, {"peer", js_peer},          {"resume", js_resume},
	           {"pause", js_pause},   {"send", js_send}, {"shutDown", js_shut_down}, {"stop", js_stop},
	           {"close", js_close}};
	napi_create_object(env, &methods);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		napi_value method;
		napi_create_function(env, all[i].name, NAPI_AUTO_LENGTH, all[i].run, poller, &method);
		napi_set_named_property(env, methods, all[i].name, method);
	}
	return methods;
}

NAPI_MODULE_INIT(/* napi_env env, napi_value exports */)
{
	napi_value start;
	napi_create_function(env, "start", NAPI_AUTO_LENGTH, js_start, NULL, &start);
	napi_set_named_property(env, exports, "start", start);
	return exports;
}
