// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Preloaded into boothd and its clients on one host, for the live tests only: steps the wall clock that they
// see by as many seconds as the 64-bit number in the file BOOTH_CLOCK_STEP says at that moment. No other clock
// and no other program is touched (a time namespace has no wall clock of its own, see time_namespaces(7)).

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *step;

__attribute__((constructor)) static void open_step(void)
{
    const char *path = getenv("BOOTH_CLOCK_STEP");
    void *mapped;
    int fd;

    // What they start keeps the true time: above all crm_ticket, whose history the test reads.
    if (!path || strncmp(program_invocation_short_name, "booth", 5) != 0)
        return;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        abort();
    mapped = mmap(NULL, sizeof *step, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        abort();
    close(fd);
    step = mapped;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);

    if (result == 0 && step && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += *step;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    int result = (int)syscall(SYS_gettimeofday, now, zone);

    if (result == 0 && step)
        now->tv_sec += *step;
    return result;
}

time_t time(time_t *where)
{
    struct timespec now;

    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return (time_t)-1;
    if (where)
        *where = now.tv_sec;
    return now.tv_sec;
}
