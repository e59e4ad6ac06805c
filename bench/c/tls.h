/* TLS for the load's clients, whose server shows a certificate of its own making. Without libssl it only fails. */

#ifndef TLS_H
#define TLS_H

#include <stdbool.h>
#include <stddef.h>

enum { TLS_DONE = 0, TLS_WANTS_READ = 1, TLS_WANTS_WRITE = 2 };

void tls_prepare(void);
void *tls_connect(int fd);
/* TLS_DONE, what it waits for, or -1. */
int tls_shake_hands(void *tls);
/* Bytes, 0 when none can be had now, or -1. */
long tls_read(void *tls, void *bytes, size_t length);
long tls_write(void *tls, const void *bytes, size_t length);
/* Whether it has read more from the kernel than it has given out. */
bool tls_holds_more(void *tls);
void tls_free(void *tls);

#endif
