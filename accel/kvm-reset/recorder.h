/*
 * The recorder: sees the ioctls of one VM and keeps its journal
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every KVM ioctl that may define the VM passes through here on its way to
 * the kernel.  One lock is held over the ioctl and its entry, so that the
 * journal always matches the calls that KVM accepted.  Calls that define
 * nothing are passed on without the lock.
 *
 * While the guest is detached there is no VM behind its fds, and DetachedVm
 * answers in the kernel's place.
 *
 * Fail closed: what the catalogue does not know, or knows that it cannot be
 * replayed, blocks: the VM is then not restartable, and says why.
 */

#ifndef KVM_RESET_RECORDER_H
#define KVM_RESET_RECORDER_H

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "definition.h"
#include "detached_vm.h"
#include "kernel.h"
#include "launch_measurement.h"
#include "memory_layout.h"
#include "other_launch.h"

namespace kvm_reset {

/*
 * Told what happens, for traces.  Called on the thread that did it, with the
 * recorder's lock held or not: must not call back.
 */
class Observer {
public:
    virtual ~Observer() = default;

    /*
     * An ioctl went to the kernel and returned @ret.  Not told of those that
     * pass through whatever their argument.
     */
    virtual void seen(int fd, uint32_t request, const char *name, Effect effect,
                      int ret);
    virtual void blocked(const std::string &why);
    virtual void stale(const std::string &what);
    /* A step of a rebirth: its name, what it was about, and a duration. */
    virtual void step(const char *name, const std::string &what, uint64_t ns);
};

class Recorder {
public:
    Recorder(Kernel &kernel, Observer &observer);
    Recorder(const Recorder &) = delete;

    /*
     * As the system calls; negative errno on failure.  @code_address is a code
     * address, for messages, or nullptr.  Any thread.
     */
    int ioctl(int fd, uint32_t request, uintptr_t arg,
              const void *code_address = nullptr);
    int mmap(void *address, size_t length, int prot, int flags, int fd,
             int64_t offset, void **mapping);
    int munmap(void *address, size_t length);
    int close(int fd);

    /* Why the VM is not restartable; nothing if it is.  Any thread. */
    std::optional<std::string> blocker() const;
    void block(std::string why);

    /*
     * What the next VM is to be: drops what userspace closed behind our back,
     * then copies.  Any thread.
     */
    Definition snapshot();

    /* The copy alone: for who looks again before it matters.  Any thread. */
    Definition quick_snapshot() const;

    /* As it was recorded, whatever launch was chosen.  Any thread. */
    Definition recorded() const;

    /*
     * @listener is called after each change of the definition, on the thread
     * that made it and with the lock held: it may only leave a note.
     */
    void on_change(std::function<void()> listener);

    size_t entries() const;
    size_t footprint() const;
    bool recording() const;

    /* The confidential launch; its state is None for an ordinary guest. */
    LaunchPlan plan() const;
    /*
     * The owner was told the measurement.  If the guest has not run yet, it
     * waits for the owner at each rebirth.  Any thread.
     */
    void measurement_told();
    /*
     * What was measured when the guest was first launched; nothing for an
     * ordinary guest, or if it cannot be computed.  Any thread.
     */
    std::optional<LaunchMeasurement> first_measurement() const;

    /*
     * The next reset takes @other, or with nullptr the recorded launch again.
     * @once: see LaunchChoice.  Any thread.
     */
    void choose_launch(LaunchSource by, OtherLaunchPtr other, bool once);
    /* See LaunchChoice::give_up().  Any thread. */
    bool give_up_launch();
    /* See LaunchChoice::drop_in_place().  Any thread. */
    void drop_launch_in_place();
    LaunchChoice launches() const;

    /*
     * Nobody else's ioctl is recorded or issued while that lives: for whoever
     * swaps the fds beneath the recorder's feet.  Any thread.
     */
    class Frozen;
    Frozen freeze();

    Kernel &kernel() { return kernel_; }
    Observer &observer() { return observer_; }

private:
    struct Call;
    class Announcer;

    const Row *row_of(int fd, uint32_t request, ObjectId *target) const;
    ClassifyContext context() const;
    int not_understood(const Call &call);
    int record(const Call &call, Effect effect);
    bool is_detached(const Call &call) const;
    int launch(const Call &call);
    int keep_step(const Call &call, const LaunchCommand &command);
    void keep_layout(LaunchPlan &plan, int vm);
    void set_plan(LaunchPlan plan);
    void set_layout(MemoryLayout layout);
    void begin_vm(const Call &call, Argument arg, int vm);
    void end_vm();
    ObjectId add_created(const Call &call, Argument arg, int ret);
    void apply_elements(const Call &call, const Argument &copy, int taken);
    void apply_one(const Call &call, Argument arg, Effect effect);
    void remove_containing(const Row &row, ObjectId target, const Key &inner);
    void drop_stale();
    Definition current();
    Definition definition() const;
    Definition recorded_locked() const;
    void block_locked(std::string why);

    Kernel &kernel_;
    Observer &observer_;
    mutable std::mutex mutex_;
    Journal journal_;
    FileWatch files_;
    ObjectId vm_ = no_object;
    uint64_t vm_type_ = 0;
    LaunchPlan plan_;
    MemoryLayout layout_; /* of the VM in place */
    std::optional<LaunchMeasurement> first_measurement_;
    LaunchChoice launches_;
    std::vector<uint32_t> defining_msrs_;
    std::optional<std::string> blocker_;
    std::function<void()> listener_;
    bool detached_ = false;
    DetachedVm detached_vm_;
};

class Recorder::Frozen {
public:
    /* Drops what userspace closed behind our back, then copies. */
    Definition snapshot();
    std::optional<std::string> blocker() const { return recorder_->blocker_; }
    /*
     * What is measured when the guest is launched as was chosen: what was
     * measured at first, or was said when another launch was brought.
     */
    std::optional<LaunchMeasurement> expected_measurement() const;

    /*
     * The VM now in place was launched as was chosen; @plan is what was done
     * of it.
     */
    void launched(LaunchPlan plan);

    /*
     * A VM that was built from @definition is in place, with a launched
     * guest's slots; userspace's wait until they are applied, when devices
     * were reset.  Returns what the VM before had, to be put back with it; if
     * there is no VM, userspace's slots go on waiting.
     */
    MemoryLayout begin_layout(const Definition &definition);
    Result<void> put_layout_back(MemoryLayout before);
    Result<void> apply_layout();

    /*
     * Whether the guest is detached from KVM.  Interrupts that waited
     * meanwhile are delivered to the VM in place before it is attached, and
     * forgotten then.
     */
    void set_detached(bool detached);
    Result<void> deliver_pending(const Snapshot &snapshot);
    void forget_pending();

private:
    friend Recorder;
    explicit Frozen(Recorder &recorder)
        : recorder_(&recorder), lock_(recorder.mutex_)
    {}

    Recorder *recorder_;
    std::unique_lock<std::mutex> lock_;
};

} /* namespace kvm_reset */

#endif
