/* What every program of the bench needs: to die with a reason, the time, sockets, and its options. */

#ifndef UTIL_H
#define UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ends the program with status 1 and one line on standard error; `errno` is explained when it is set. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

void *allocate(size_t count, size_t size);

/* Nanoseconds of the monotonic clock. */
uint64_t now_ns(void);

/* The value behind `--name`, or `fallback`. */
const char *option(int argc, char **argv, const char *name, const char *fallback);
uint64_t number_option(int argc, char **argv, const char *name, uint64_t fallback);

/* As many descriptors as the system lets this process have. */
void raise_descriptor_limit(void);

/* Listens on 127.0.0.1, `*port` 0 taking any; `*port` says which it was. Not blocking. */
int listen_tcp(uint16_t *port, bool reuse_port);

/* Starts to connect to 127.0.0.1; not blocking. */
int connect_tcp(uint16_t port);

int listen_unix(const char *path);
int connect_unix(const char *path);
void set_not_blocking(int fd);
void set_no_delay(int fd);

/* Has `epoll` tell of `events` on `fd`, as `tag`. */
void watch(int epoll, int fd, uint32_t events, uint64_t tag);
void watch_again(int epoll, int fd, uint32_t events, uint64_t tag);

/*
 * Reads standard input once. At its end the program ends: whoever started it is gone. Otherwise true when
 * something was asked.
 */
bool asked_on_stdin(void);

#endif
