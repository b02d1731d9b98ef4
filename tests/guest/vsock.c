/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sends back what comes in on port 7 of the guest's vsock. */
#include "commands.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

enum {
    ECHO_PORT = 7
};

static void send_back(int fd)
{
    char data[65536];
    ssize_t len;

    while ((len = read(fd, data, sizeof(data))) > 0) {
        ssize_t done = 0, n;

        while (done < len && (n = write(fd, data + done, len - done)) > 0) {
            done += n;
        }
    }
    close(fd);
}

int command_vsock(int argc, char **argv)
{
    const struct sockaddr_vm address = {
        .svm_family = AF_VSOCK,
        .svm_port = ECHO_PORT,
        .svm_cid = VMADDR_CID_ANY,
    };
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

    (void)argc;
    (void)argv;
    if (fd < 0 || bind(fd, (const void *)&address, sizeof(address)) ||
        listen(fd, 8)) {
        perror("kvm-reset-guest: error: vsock");
        return 1;
    }
    puts("kvm-reset-guest: vsock listens");
    fflush(stdout);
    for (;;) {
        int peer = accept(fd, NULL, NULL);

        if (peer >= 0) {
            send_back(peer);
        }
    }
}
