/*
 * vm-launch-update: hands QEMU firmware that the next reset launches
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For Linux guests on x86-64 with QEMU's device vm-launch-update.  The image is
 * put into memory whose physical address is known, and fw_cfg is told where it
 * is, by DMA.  vm-launch-update.1 is its manual.  It needs no library:
 *
 *     gcc -O2 -static -o vm-launch-update *.c
 */

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fail.h"
#include "fw_cfg.h"
#include "memory.h"

/* --- The file etc/vmlaunchupdate ------------------------------------------- */

/* Little endian. */
typedef struct {
    uint16_t version, status;
    uint32_t padding;
    uint64_t capabilities;
    uint64_t control;
    uint64_t image_address, image_size;
    uint64_t opaque_address, opaque_size;
} LaunchUpdate;

_Static_assert(sizeof(LaunchUpdate) == 56, "as QEMU has it");

#define CONTROL_DISABLE (UINT64_C(1) << 0)
#define CONTROL_HOSTS_FILE (UINT64_C(1) << 1)
#define IS_IGVM (UINT64_C(1) << 32) /* in control and capabilities */

static uint16_t the_key;

static LaunchUpdate launch_update_read(void)
{
    LaunchUpdate file;

    fw_cfg_read(the_key, &file, sizeof(file));
    return file;
}

static void launch_update_open(void)
{
    LaunchUpdate file;

    fw_cfg_open();
    the_key = fw_cfg_find("etc/vmlaunchupdate", sizeof(file));
    if (!the_key) {
        fail("the host takes no firmware from this guest: its QEMU has no "
             "device vm-launch-update");
    }
    file = launch_update_read();
    if (le16toh(file.version) != 1) {
        fail("etc/vmlaunchupdate has version %u, and this program knows 1",
             le16toh(file.version));
    }
    if (!(le64toh(file.capabilities) & IS_IGVM)) {
        fail("the host does not understand IGVM files");
    }
}

static const char *status_name(uint16_t status)
{
    switch (status) {
    case 0:
        return "done";
    case 1:
        return "failed";
    case 2:
        return "this guest was not started from IGVM";
    }
    return "unknown";
}

static void print_status(void)
{
    LaunchUpdate file = launch_update_read();

    printf("version %u\nstatus %u (%s)\ncapabilities 0x%" PRIx64
           "\ncontrol 0x%" PRIx64 "\nopaque 0x%" PRIx64 ":0x%" PRIx64 "\n",
           le16toh(file.version), le16toh(file.status),
           status_name(le16toh(file.status)), le64toh(file.capabilities),
           le64toh(file.control), le64toh(file.opaque_address),
           le64toh(file.opaque_size));
}

/* --- What is asked for ----------------------------------------------------- */

static uint8_t *read_image(const char *name, size_t *size)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    struct stat file;
    uint8_t *bytes;
    size_t done = 0;

    if (fd < 0 || fstat(fd, &file)) {
        fail("%s: %s", name, strerror(errno));
    }
    if (!S_ISREG(file.st_mode)) {
        fail("%s is no regular file", name);
    }
    *size = file.st_size;
    bytes = malloc(*size + 1);
    while (bytes && done < *size) {
        ssize_t got = read(fd, bytes + done, *size - done);

        if (got <= 0) {
            fail("%s: %s", name, got ? strerror(errno) : "it became shorter");
        }
        done += got;
    }
    close(fd);
    if (!bytes) {
        fail("no memory for %s", name);
    }
    if (*size < 4 || memcmp(bytes, "IGVM", 4)) {
        fail("%s is no IGVM file", name);
    }
    return bytes;
}

/* The first page is fw_cfg's request and what it writes; then the image. */
static void ask(const Memory *memory, const LaunchUpdate *what)
{
    const size_t at = sizeof(FwCfgDma);

    put(memory, at, what, sizeof(*what));
    fw_cfg_write(the_key, memory->address + at, sizeof(*what),
                 (volatile FwCfgDma *)memory->pieces[0], memory->address);
}

/* --- The command line ------------------------------------------------------ */

typedef struct {
    const char *image;
    uint64_t control;
    uint64_t memory, memory_size;
    uint64_t opaque, opaque_size;
    bool has_memory, hosts, status, dry_run, reboot;
} Options;

static void print_usage(FILE *to)
{
    fputs(
        "usage: vm-launch-update [OPTION]... FILE\n"
        "       vm-launch-update --host | --disable | --status\n"
        "\n"
        "Hands QEMU the IGVM file FILE, from which the next reset launches\n"
        "this guest.\n"
        "\n"
        "  --once               for the next reset alone, and then the host's\n"
        "  --host               back to the host's firmware\n"
        "  --disable            and from then on QEMU takes nothing else\n"
        "  --memory ADDR:SIZE   in this reserved memory (/dev/mem), and not "
        "in\n"
        "                       huge pages\n"
        "  --opaque ADDR:SIZE   the range that this guest hands itself\n"
        "  --dry-run            do all but tell QEMU\n"
        "  --status             print what QEMU says, and nothing else\n"
        "  --reboot             reboot at once if it was taken\n"
        "  --help\n"
        "\n"
        "Exit status: 0 taken, 1 an error, 2 usage, 3 QEMU did not take it.\n",
        to);
}

__attribute__((noreturn)) static void bad_usage(const char *why)
{
    fprintf(stderr, "vm-launch-update: error: %s\n", why);
    print_usage(stderr);
    exit(EXIT_USAGE);
}

static void read_range(const char *text, uint64_t *address, uint64_t *size)
{
    char *end;

    errno = 0;
    *address = strtoull(text, &end, 0);
    if (!isdigit((unsigned char)*text) || *end != ':' ||
        !isdigit((unsigned char)end[1])) {
        bad_usage("a range is ADDRESS:SIZE, both numbers");
    }
    *size = strtoull(end + 1, &end, 0);
    if (*end || errno || !*size || *address + *size < *address) {
        bad_usage("a range is ADDRESS:SIZE, both numbers");
    }
}

static Options read_options(int argc, char **argv)
{
    enum {
        ONCE,
        HOST,
        DISABLE,
        MEMORY,
        OPAQUE,
        DRY_RUN,
        STATUS,
        REBOOT,
        HELP
    };
    static const struct option names[] = {
        {"once", no_argument, NULL, ONCE},
        {"host", no_argument, NULL, HOST},
        {"disable", no_argument, NULL, DISABLE},
        {"memory", required_argument, NULL, MEMORY},
        {"opaque", required_argument, NULL, OPAQUE},
        {"dry-run", no_argument, NULL, DRY_RUN},
        {"status", no_argument, NULL, STATUS},
        {"reboot", no_argument, NULL, REBOOT},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    Options options = {.image = NULL};
    bool once = false;
    int option;

    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (option) {
        case ONCE:
            once = true;
            break;
        case HOST:
            options.hosts = true;
            break;
        case DISABLE:
            options.control |= CONTROL_DISABLE;
            break;
        case MEMORY:
            options.has_memory = true;
            read_range(optarg, &options.memory, &options.memory_size);
            break;
        case OPAQUE:
            read_range(optarg, &options.opaque, &options.opaque_size);
            break;
        case DRY_RUN:
            options.dry_run = true;
            break;
        case STATUS:
            options.status = true;
            break;
        case REBOOT:
            options.reboot = true;
            break;
        case HELP:
            print_usage(stdout);
            exit(EXIT_SUCCESS);
        default:
            print_usage(stderr);
            exit(EXIT_USAGE);
        }
    }
    if (argc - optind > 1) {
        bad_usage("there is one FILE");
    }
    options.image = argv[optind];
    if (options.status && argc != 2) {
        bad_usage("--status goes with nothing else");
    }
    if (once && !options.image) {
        bad_usage("--once is about a FILE");
    }
    if (options.hosts && options.image) {
        bad_usage("it is the host's firmware or FILE: --once gets both, one "
                  "after the other");
    }
    if (!options.image && !options.hosts && !options.control &&
        !options.opaque_size && !options.status) {
        bad_usage("there is no FILE");
    }
    if (once || options.hosts) {
        options.control |= CONTROL_HOSTS_FILE;
    }
    if (options.image) {
        options.control |= IS_IGVM;
    }
    return options;
}

/* --- All ------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    Options options = read_options(argc, argv);
    LaunchUpdate what;
    Memory memory;
    uint8_t *image = NULL;
    size_t size = 0;
    uint16_t status;

    launch_update_open();
    if (options.status) {
        print_status();
        return EXIT_SUCCESS;
    }
    if (options.image) {
        image = read_image(options.image, &size);
    }
    memory = options.has_memory
               ? map_reserved(options.memory, options.memory_size, PAGE + size)
               : map_huge_pages(PAGE + size);
    put(&memory, PAGE, image, size);
    what = (LaunchUpdate){
        .control = htole64(options.control),
        .image_address = htole64(image ? memory.address + PAGE : 0),
        .image_size = htole64(size),
        .opaque_address = htole64(options.opaque),
        .opaque_size = htole64(options.opaque_size),
    };
    if (options.dry_run) {
        printf("would say: control 0x%" PRIx64 ", 0x%zx bytes at 0x%" PRIx64
               "\n",
               options.control, size, le64toh(what.image_address));
        return EXIT_SUCCESS;
    }
    ask(&memory, &what);
    status = le16toh(launch_update_read().status);
    if (status) {
        fprintf(stderr,
                "vm-launch-update: error: QEMU did not take it, status %u "
                "(%s); the host's event KVM_LAUNCH_UPDATE says why\n",
                status, status_name(status));
        return EXIT_REFUSED;
    }
    puts(image           ? "taken: the next reset launches it"
         : options.hosts ? "taken: the next reset launches the host's firmware"
                         : "taken");
    if (options.reboot) {
        fflush(stdout);
        sync();
        reboot(RB_AUTOBOOT);
        fail("reboot: %s", strerror(errno));
    }
    return EXIT_SUCCESS;
}
