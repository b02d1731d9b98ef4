/*
 * What the audit asks of the recorder while QEMU runs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "control.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <link.h>
#include <pthread.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"
#include "json.h"
#include "readback.h"

namespace audit {

namespace {

int control = -1;

/* The file that is mapped at @address; the linker's own word is not enough
   when a program is started through ld.so. */
std::string file_at(uintptr_t address)
{
    char line[4352];
    std::string file;
    FILE *maps = fopen("/proc/self/maps", "re");

    while (maps && fgets(line, sizeof(line), maps)) {
        unsigned long start;
        unsigned long end;
        int name = 0;
        if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %n", &start, &end, &name) ==
                2 &&
            name && start <= address && address < end) {
            file = line + name;
            while (!file.empty() && file.back() == '\n') {
                file.pop_back();
            }
            break;
        }
    }
    if (maps) {
        fclose(maps);
    }
    return file;
}

int say_module(dl_phdr_info *info, size_t, void *)
{
    uintptr_t start = UINTPTR_MAX;
    uintptr_t end = 0;

    for (int i = 0; i < info->dlpi_phnum; i++) {
        const auto &segment = info->dlpi_phdr[i];
        if (segment.p_type == PT_LOAD) {
            uintptr_t at = info->dlpi_addr + segment.p_vaddr;
            start = std::min<uintptr_t>(start, at);
            end = std::max<uintptr_t>(end, at + segment.p_memsz);
        }
    }
    Json line("module");
    line.text("file", file_at(start));
    line.number("bias", int64_t(info->dlpi_addr));
    line.number("start", int64_t(start)).number("end", int64_t(end));
    write_record(line);
    return 0;
}

void mark(Recorder &recorder, const std::string &name, bool stopped)
{
    unsigned vm = recorder.objects().in_use();
    Json line("mark");

    line.text("name", name).number("vm", vm);
    write_record(line);
    recorder.write_counts();
    if (stopped) {
        read_back(recorder.objects(), vm);
    }
    dl_iterate_phdr(say_module, nullptr);
    write_record(Json("end of mark"));
}

void *listen(void *opaque)
{
    Recorder &recorder = *static_cast<Recorder *>(opaque);
    std::string heard;
    char buffer[256];
    ssize_t n;

    while ((n = recv(control, buffer, sizeof(buffer), 0)) > 0) {
        heard.append(buffer, n);
        size_t end;
        while ((end = heard.find('\n')) != std::string::npos) {
            std::string line = heard.substr(0, end);
            heard.erase(0, end + 1);
            bool stopped = line.starts_with("mark ");
            bool known = stopped || line.starts_with("note ");
            if (known) {
                mark(recorder, line.substr(5), stopped);
            }
            send(control, known ? "ok\n" : "?\n", known ? 3 : 2, MSG_NOSIGNAL);
        }
    }
    return nullptr;
}

} /* namespace */

void start_control(Recorder &recorder)
{
    const char *number = getenv("KVM_AUDIT_CONTROL");
    sigset_t all;
    sigset_t before;
    pthread_t thread;

    if (!number) {
        return;
    }
    control = atoi(number);
    /* QEMU's signals are for QEMU's threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (!pthread_create(&thread, nullptr, listen, &recorder)) {
        pthread_setname_np(thread, "kvm-audit");
        pthread_detach(thread);
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

} /* namespace audit */
