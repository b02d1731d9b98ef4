/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The appliance's process 1: runs one command in the chroot and carries its
 * input, output and exit status over virtio-serial ports, because the console
 * belongs to the kernel. The other end is run.py, which says what to run.
 *
 * A command's output goes through pipes, not straight to the ports: a port can
 * be open only once, and /dev/stdout must be possible to open again.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    CONTROL,
    STDIN,
    STDOUT,
    STDERR,
    NR_PORTS
};

static int port[NR_PORTS];

/* What to run, as run.py says it: see job_parse(). */
typedef struct Job {
    const char *cwd;
    const char *lib_modules;
    char **argv;
    char **envp;
    char **rw;
    bool has_stdin;
    int64_t time_ns;
} Job;

/* Bytes on their way from one fd to another; neither ever blocks. */
typedef struct Pump {
    int in;
    int out;
    size_t at;
    size_t len;
    uint64_t moved;
    /* It ends after so many. */
    uint64_t limit;
    bool ended;
    char buf[65536];
} Pump;

/* The command's fds 0, 1 and 2. */
static Pump pumps[3];

/* Process 1 must not exit: the panic's reason is what is said here. */
static void __attribute__((noreturn, format(printf, 1, 2)))
fail(const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (port[CONTROL] > 0) {
        fcntl(port[CONTROL], F_SETFL, 0);
        if (dprintf(port[CONTROL], "error %s\n", text) > 0) {
            /* The host ends the appliance once it has read this. */
            sleep(10);
        }
    }
    fprintf(stderr, "appliance: %s\n", text);
    exit(1);
}

/* The device of the port that QEMU calls NAME, or -1 as long as there is none. */
static int port_find(const char *name)
{
    const char dir[] = "/sys/class/virtio-ports";
    struct dirent *entry;
    DIR *ports = opendir(dir);
    int fd = -1;

    while (ports && fd < 0 && (entry = readdir(ports))) {
        char path[512], said[64] = "";
        FILE *file;

        snprintf(path, sizeof(path), "%s/%s/name", dir, entry->d_name);
        file = fopen(path, "r");
        if (!file) {
            continue;
        }
        if (fscanf(file, "%63s", said) == 1 && !strcmp(said, name)) {
            snprintf(path, sizeof(path), "/root/dev/%s", entry->d_name);
            fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        }
        fclose(file);
    }
    if (ports) {
        closedir(ports);
    }
    return fd;
}

static void port_open(int nr)
{
    static const char *const names[NR_PORTS] = {
        [CONTROL] = "control",
        [STDIN] = "stdin",
        [STDOUT] = "stdout",
        [STDERR] = "stderr",
    };
    struct pollfd pfd = {.fd = -1, .events = POLLIN};
    int tries;

    /* The kernel learns of the ports, and of the host's end, in its own time. */
    for (tries = 0; tries < 3000; tries++) {
        if (pfd.fd < 0) {
            pfd.fd = port_find(names[nr]);
        }
        if (pfd.fd >= 0 && poll(&pfd, 1, 0) >= 0 && !(pfd.revents & POLLHUP)) {
            port[nr] = pfd.fd;
            return;
        }
        usleep(10000);
    }
    fail("the host's end of port %s did not appear", names[nr]);
}

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
    struct pollfd pfd = {.fd = port[CONTROL], .events = POLLOUT};
    char text[128];
    va_list ap;
    int len;

    va_start(ap, fmt);
    len = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    while (write(port[CONTROL], text, len) < 0 && errno == EAGAIN) {
        poll(&pfd, 1, -1);
    }
}

/* The control port sends a decimal length, a newline, and so many bytes. */
static char *job_read(size_t *len)
{
    struct pollfd pfd = {.fd = port[CONTROL], .events = POLLIN};
    size_t size = 4096, have = 0, want = 0, head = 0;
    char *buf = malloc(size);

    while (!head || have < head + want) {
        ssize_t n;

        if (have == size) {
            buf = realloc(buf, size *= 2);
        }
        poll(&pfd, 1, 30000);
        n = read(port[CONTROL], buf + have, size - have);
        if (n <= 0) {
            fail("the host said nothing of what to run");
        }
        have += n;
        if (!head) {
            char *newline = memchr(buf, '\n', have);

            if (newline) {
                head = newline + 1 - buf;
                want = strtoull(buf, NULL, 10);
            }
        }
    }
    *len = want;
    return buf + head;
}

static void append(char ***list, size_t *n, char *item)
{
    *list = realloc(*list, (*n + 2) * sizeof(char *));
    (*list)[(*n)++] = item;
    (*list)[*n] = NULL;
}

/* NUL-terminated strings, whose first letter says what each is. */
static Job job_parse(char *text, size_t len)
{
    Job job = {.cwd = "/"};
    size_t argc = 0, envc = 0, rwc = 0;
    char *end = text + len;

    append(&job.envp, &envc, "KVM_RESET_APPLIANCE=1");
    job.rw = calloc(1, sizeof(*job.rw));
    for (; text < end; text += strlen(text) + 1) {
        switch (*text) {
        case 'A':
            append(&job.argv, &argc, text + 1);
            break;
        case 'C':
            job.cwd = text + 1;
            break;
        case 'E':
            append(&job.envp, &envc, text + 1);
            break;
        case 'I':
            job.has_stdin = true;
            break;
        case 'M':
            job.lib_modules = text + 1;
            break;
        case 'T':
            job.time_ns = strtoll(text + 1, NULL, 10);
            break;
        case 'W':
            append(&job.rw, &rwc, text + 1);
            break;
        default:
            fail("cannot understand '%s'", text);
        }
    }
    if (!argc) {
        fail("nothing to run");
    }
    return job;
}

static void make_dirs(const char *path)
{
    char copy[4096];
    char *slash = copy;

    snprintf(copy, sizeof(copy), "%s", path);
    while ((slash = strchr(slash + 1, '/'))) {
        *slash = '\0';
        mkdir(copy, 0755);
        *slash = '/';
    }
    mkdir(copy, 0755);
}

static void prepare(const Job *job)
{
    struct timespec now = {
        .tv_sec = job->time_ns / 1000000000,
        .tv_nsec = job->time_ns % 1000000000,
    };
    /* As systemd does for services: select() takes no fd above 1024. */
    struct rlimit files = {1024, 524288};
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    int i;

    clock_settime(CLOCK_REALTIME, &now);
    setrlimit(RLIMIT_NOFILE, &files);
    setrlimit(RLIMIT_MEMLOCK, &unlimited);

    if (job->lib_modules) {
        make_dirs("/lib/modules");
        if (mount(job->lib_modules, "/lib/modules", NULL, MS_BIND, NULL)) {
            fail("cannot mount %s: %s", job->lib_modules, strerror(errno));
        }
    }
    for (i = 0; job->rw[i]; i++) {
        char tag[16];

        snprintf(tag, sizeof(tag), "rw%d", i);
        make_dirs(job->rw[i]);
        /* mmap: like none, but files can be mapped for writing. */
        if (mount(tag, job->rw[i], "9p", 0,
                  "trans=virtio,version=9p2000.L,"
                  "msize=512000,cache=mmap")) {
            fail("cannot mount %s: %s", job->rw[i], strerror(errno));
        }
    }
}

static void __attribute__((noreturn))
run(const Job *job, int in, int out, int err)
{
    sigset_t none;
    int error;

    setsid();
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if (chdir(job->cwd)) {
        fprintf(stderr, "appliance: error: cannot enter %s: %s\n", job->cwd,
                strerror(errno));
        _exit(126);
    }
    environ = job->envp;
    execvp(job->argv[0], job->argv);
    error = errno;
    fprintf(stderr, "appliance: error: cannot run %s: %s\n", job->argv[0],
            strerror(error));
    _exit(error == ENOENT ? 127 : 126);
}

static void nonblock(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* Moves what can be moved now. */
static void pump_turn(Pump *pump)
{
    if (pump->ended) {
        return;
    }
    while (!pump->ended) {
        ssize_t n;

        if (pump->moved == pump->limit) {
            pump->ended = true;
            break;
        }
        if (pump->at == pump->len) {
            n = read(pump->in, pump->buf, sizeof(pump->buf));
            if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
                return;
            }
            if (n <= 0) {
                pump->ended = true;
                break;
            }
            pump->at = 0;
            pump->len = n;
        }
        n = write(pump->out, pump->buf + pump->at, pump->len - pump->at);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n < 0) {
            pump->ended = true;
            break;
        }
        pump->at += n;
        pump->moved += n;
    }
    if (pump == &pumps[0]) {
        /* So that the command sees the end of its input. */
        close(pump->out);
    }
}

static struct pollfd pump_poll(const Pump *pump)
{
    struct pollfd pfd = {.fd = -1};

    if (!pump->ended) {
        bool holds = pump->at < pump->len;

        pfd.fd = holds ? pump->out : pump->in;
        pfd.events = holds ? POLLOUT : POLLIN;
    }
    return pfd;
}

/* Takes in all the dead; true and *status once CHILD is among them. */
static bool reap(pid_t child, int *status)
{
    bool found = false;
    int how;
    pid_t pid;

    while ((pid = waitpid(-1, &how, WNOHANG)) > 0) {
        if (pid == child) {
            *status = WIFSIGNALED(how) ? 128 + WTERMSIG(how) : WEXITSTATUS(how);
            found = true;
        }
    }
    return found;
}

/*
 * "eof N": the command's input ends after N bytes. Were the host just to close
 * the port, QEMU would drop what it had not passed on yet.
 */
static void hear_eof(void)
{
    static char text[32];
    static size_t len;
    ssize_t n = read(port[CONTROL], text + len, sizeof(text) - 1 - len);

    if (n > 0) {
        len += n;
        text[len] = '\0';
        if (text[len - 1] == '\n' && !strncmp(text, "eof ", 4)) {
            pumps[0].limit = strtoull(text + 4, NULL, 10);
        }
    }
}

static int serve(pid_t child, int signals)
{
    int status = 0, i;
    bool dead = false;

    for (;;) {
        struct pollfd pfd[5];

        for (i = 0; i < 3; i++) {
            pump_turn(&pumps[i]);
            pfd[i] = pump_poll(&pumps[i]);
        }
        /*
         * What the command wrote before it died is in the pipes. What others
         * that still hold them may write later is not waited for.
         */
        if (dead && !(pfd[1].events & POLLOUT) && !(pfd[2].events & POLLOUT)) {
            return status;
        }
        pfd[3] = (struct pollfd){.fd = signals, .events = POLLIN};
        pfd[4] = (struct pollfd){
            .fd = pumps[0].ended || pumps[0].limit < UINT64_MAX ? -1
                                                                : port[CONTROL],
            .events = POLLIN,
        };
        poll(pfd, 5, -1);
        if (pfd[4].revents) {
            hear_eof();
        }
        if (pfd[3].revents) {
            struct signalfd_siginfo info;

            if (read(signals, &info, sizeof(info)) > 0) {
                dead |= reap(child, &status);
            }
        }
    }
}

int main(int argc, char **argv)
{
    int in[2], out[2], err[2], signals, status, i;
    sigset_t chld;
    size_t len;
    char *text;
    pid_t child;
    Job job;

    if (argc != 2) {
        fail("usage: agent ROOT");
    }
    for (i = 0; i < NR_PORTS; i++) {
        port_open(i);
    }
    say("ready\n");
    text = job_read(&len);
    job = job_parse(text, len);
    if (chroot(argv[1]) || chdir("/")) {
        fail("cannot enter %s: %s", argv[1], strerror(errno));
    }
    prepare(&job);

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &chld, NULL);
    signals = signalfd(-1, &chld, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signals < 0 || pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) ||
        pipe2(err, O_CLOEXEC)) {
        fail("cannot make the command's pipes: %s", strerror(errno));
    }
    say("start\n");
    child = fork();
    if (child < 0) {
        fail("cannot fork: %s", strerror(errno));
    }
    if (child == 0) {
        if (!job.has_stdin) {
            in[0] = open("/dev/null", O_RDONLY);
        }
        run(&job, in[0], out[1], err[1]);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    nonblock(in[1]);
    nonblock(out[0]);
    nonblock(err[0]);
    pumps[0].in = port[STDIN];
    pumps[0].out = in[1];
    pumps[0].ended = !job.has_stdin;
    for (i = 0; i < 3; i++) {
        pumps[i].limit = UINT64_MAX;
    }
    pumps[1].in = out[0];
    pumps[1].out = port[STDOUT];
    pumps[2].in = err[0];
    pumps[2].out = port[STDERR];

    status = serve(child, signals);
    sync();
    say("exit %d %llu %llu\n", status, (unsigned long long)pumps[1].moved,
        (unsigned long long)pumps[2].moved);
    /* The host has all that it waits for, and ends the machine. */
    for (;;) {
        pause();
    }
}
