/*
 * The fake kernel: files and mappings
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "fake_kernel.h"

#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fake_kernel_objects.h"

FakeKernel::FakeKernel() = default;
FakeKernel::~FakeKernel() = default;

int FakeKernel::lowest() const
{
    int fd = 3;

    while (fds_.contains(fd)) {
        fd++;
    }
    return fd;
}

int FakeKernel::install(FilePtr file)
{
    int fd = lowest();

    if (fd >= fd_limit) {
        release(std::move(file));
        return -EMFILE;
    }
    fds_[fd] = std::move(file);
    return fd;
}

FakeKernel::FilePtr FakeKernel::make(const char *name, std::shared_ptr<Vm> vm,
                                     std::string role)
{
    return std::make_shared<File>(
        File{name, std::move(role), serial_++, std::move(vm)});
}

FakeKernel::FilePtr FakeKernel::find(int fd) const
{
    auto found = fds_.find(fd);

    return found == fds_.end() ? nullptr : found->second;
}

/* What happens when the last fd and mapping of a file goes. */
void FakeKernel::release(FilePtr file)
{
    if (!file || file.use_count() > 1) {
        return;
    }
    std::erase_if(watches_,
                  [&](auto &watch) { return watch.second == file->serial; });
    for (auto &vm : living()) {
        std::erase_if(vm->irqfds,
                      [&](auto &irqfd) { return irqfd.first == file->serial; });
    }
}

std::vector<std::shared_ptr<FakeKernel::Vm>> FakeKernel::living() const
{
    std::vector<std::shared_ptr<Vm>> alive;

    for (auto &weak : vms_) {
        if (auto vm = weak.lock()) {
            alive.push_back(std::move(vm));
        }
    }
    return alive;
}

int FakeKernel::open_kvm()
{
    std::unique_lock lock(mutex_);
    if (int code = refused(Call::Open)) {
        return -code;
    }
    if (device_fails) {
        return -device_fails;
    }
    return device_is_kvm ? install(make("/dev/kvm", nullptr, "kvm"))
                         : install(make("/dev/null", nullptr, "file"));
}

int FakeKernel::placeholder()
{
    std::unique_lock lock(mutex_);
    if (int code = refused(Call::Open)) {
        return -code;
    }
    return install(make("anon_inode:[eventfd]", nullptr, "placeholder"));
}

int FakeKernel::eventfd()
{
    std::unique_lock lock(mutex_);
    return install(make("anon_inode:[eventfd]", nullptr, "eventfd"));
}

int FakeKernel::file(const std::string &name)
{
    std::unique_lock lock(mutex_);
    return install(make(name.c_str(), nullptr, "file"));
}

int FakeKernel::dup(int fd)
{
    std::unique_lock lock(mutex_);
    FilePtr file = find(fd);
    if (int code = refused(Call::Dup)) {
        return -code;
    }
    return file ? install(file) : -EBADF;
}

int FakeKernel::dup_onto(int from, int onto)
{
    std::unique_lock lock(mutex_);
    if (int code = refused(Call::DupOnto)) {
        return -code;
    }
    if (busy_numbers.contains(onto)) {
        return -EBUSY;
    }
    FilePtr file = find(from);
    if (!file || onto < 0) {
        return -EBADF;
    }
    if (from == onto) {
        return -EINVAL;
    }
    FilePtr old = std::exchange(fds_[onto], file);
    release(std::move(old));
    return onto;
}

int FakeKernel::close(int fd)
{
    if (before_close) {
        before_close(fd);
    }
    std::unique_lock lock(mutex_);
    FilePtr file = find(fd);

    if (!file) {
        return -EBADF;
    }
    fds_.erase(fd);
    release(std::move(file));
    return 0;
}

int FakeKernel::punch_hole(int fd, uint64_t offset, uint64_t length)
{
    if (before_punch) {
        before_punch(fd, offset, length);
    }
    std::unique_lock lock(mutex_);
    FilePtr file = find(fd);

    return !file ? -EBADF : file->role.starts_with("memfd") ? 0 : -EOPNOTSUPP;
}

uint64_t FakeKernel::inode(const char *path)
{
    std::unique_lock lock(mutex_);
    auto found = inodes.find(path);

    return found == inodes.end() ? 0 : found->second;
}

std::string FakeKernel::describe(int fd)
{
    std::unique_lock lock(mutex_);
    FilePtr file = find(fd);

    return file ? file->name : "";
}

int FakeKernel::mmap(void *addr, size_t length, int, int flags, int fd, int64_t,
                     void **mapping)
{
    std::unique_lock lock(mutex_);
    if (int code = refused(Call::Mmap)) {
        /* As Linux may: what was there at a fixed address is gone. */
        if (flags & MAP_FIXED) {
            mappings_.erase(uintptr_t(addr));
        }
        return -code;
    }
    FilePtr file = find(fd);
    if (!file && !(flags & MAP_ANONYMOUS)) {
        return -EBADF;
    }
    uintptr_t at = uintptr_t(addr);
    if (!(flags & MAP_FIXED)) {
        at = next_address_;
        next_address_ += (length + 0xfff) & ~uintptr_t(0xfff);
    }
    FilePtr old = std::exchange(mappings_[at], {length, file}).file;
    release(std::move(old));
    *mapping = reinterpret_cast<void *>(at);
    return 0;
}

int FakeKernel::munmap(void *addr, size_t)
{
    std::unique_lock lock(mutex_);
    if (int code = refused(Call::Munmap)) {
        return -code;
    }
    auto found = mappings_.find(uintptr_t(addr));
    if (found != mappings_.end()) {
        FilePtr file = found->second.file;
        mappings_.erase(found);
        release(std::move(file));
    }
    return 0;
}

uint8_t *FakeKernel::behind(uint64_t address, size_t length)
{
    for (auto &[start, mapped] : mappings_) {
        if (start <= address && address + length <= start + mapped.length) {
            auto &memory = mapped.file ? mapped.file->memory : mapped.memory;
            memory.resize(mapped.length);
            return memory.data() + (address - start);
        }
    }
    return nullptr;
}

int FakeKernel::ring(int eventfd)
{
    std::unique_lock lock(mutex_);
    FilePtr file = find(eventfd);

    if (!file) {
        return -EBADF;
    }
    rung_.push_back(file->serial);
    return 0;
}

int FakeKernel::read_memory(uint64_t address, std::span<uint8_t> bytes)
{
    {
        std::unique_lock lock(mutex_);
        most_read = std::max(most_read, bytes.size());
        if (uint8_t *from = behind(address, bytes.size())) {
            memcpy(bytes.data(), from, bytes.size());
            return 0;
        }
    }
    iovec here{bytes.data(), bytes.size()};
    iovec there{reinterpret_cast<void *>(address), bytes.size()};

    return process_vm_readv(getpid(), &here, 1, &there, 1, 0) ==
                   ssize_t(bytes.size())
             ? 0
             : -EFAULT;
}

int FakeKernel::write_memory(uint64_t address, std::span<const uint8_t> bytes)
{
    std::unique_lock lock(mutex_);
    if (int code = refused(Call::WriteMemory)) {
        return -code;
    }
    uint8_t *to = behind(address, bytes.size());
    memcpy(to ? to : reinterpret_cast<uint8_t *>(address), bytes.data(),
           bytes.size());
    return 0;
}

int FakeKernel::watch(int fd)
{
    std::unique_lock lock(mutex_);
    if (int code = refused(Call::Watch)) {
        return -code;
    }
    FilePtr file = find(fd);
    if (!file) {
        return -EBADF;
    }
    return watches_.insert({fd, file->serial}).second ? 0 : -EEXIST;
}

bool FakeKernel::watched(int fd)
{
    std::unique_lock lock(mutex_);
    FilePtr file = find(fd);

    return file && watches_.contains({fd, file->serial});
}

/* --- What a test may ask -------------------------------------------------- */

uint64_t FakeKernel::file_at(int fd) const
{
    std::unique_lock lock(mutex_);
    FilePtr file = find(fd);

    return file ? file->serial : 0;
}

std::map<int, uint64_t> FakeKernel::fds() const
{
    std::unique_lock lock(mutex_);
    std::map<int, uint64_t> all;

    for (auto &[fd, file] : fds_) {
        all[fd] = file->serial;
    }
    return all;
}

std::map<uintptr_t, uint64_t> FakeKernel::mappings() const
{
    std::unique_lock lock(mutex_);
    std::map<uintptr_t, uint64_t> all;

    for (auto &[address, mapped] : mappings_) {
        all[address] = mapped.file ? mapped.file->serial : 0;
    }
    return all;
}

size_t FakeKernel::watches() const
{
    std::unique_lock lock(mutex_);
    return watches_.size();
}

size_t FakeKernel::vms() const
{
    std::unique_lock lock(mutex_);
    return living().size();
}
