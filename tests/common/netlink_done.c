// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Preloaded into booth 1.0 on Linux 6.9 and newer, for the live tests only.
//
// The program lists its addresses over rtnetlink and looks for NLMSG_DONE only at the start of what
// one recvmsg() returned. Since 6.9 the kernel appends NLMSG_DONE to the last answer instead of sending it
// alone, so the program waits for ever. Here the appended message is held back and is
// delivered by the next recvmsg() on that socket, as older kernels did.

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int held_for = -1;
static struct nlmsghdr held;

static int is_netlink(int fd)
{
    int family = 0;
    socklen_t len = sizeof family;
    int saved = errno;
    int known = getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) == 0;

    errno = saved;
    return known && family == AF_NETLINK;
}

// Offset of an NLMSG_DONE that follows other messages, or `len` where there is none.
static size_t appended_done(const char *buf, size_t len)
{
    size_t at = 0;

    while (at + sizeof held <= len) {
        struct nlmsghdr head;
        memcpy(&head, buf + at, sizeof head);
        if (head.nlmsg_len < sizeof head)
            break;
        if (at > 0 && head.nlmsg_type == NLMSG_DONE) {
            held = head;
            held.nlmsg_len = sizeof held;
            return at;
        }
        at += NLMSG_ALIGN(head.nlmsg_len);
    }
    return len;
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    if (held_for == fd) {
        held_for = -1;
        memcpy(msg->msg_iov[0].iov_base, &held, sizeof held);
        return sizeof held;
    }
    ssize_t got = syscall(SYS_recvmsg, fd, msg, flags);
    if (got <= 0 || !is_netlink(fd))
        return got;
    size_t kept = appended_done(msg->msg_iov[0].iov_base, (size_t)got);
    if (kept < (size_t)got)
        held_for = fd;
    return (ssize_t)kept;
}
