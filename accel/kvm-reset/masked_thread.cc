/*
 * A thread that the process's signals do not reach
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "masked_thread.h"

#include <csignal>

namespace kvm_reset {

/* Several times what replaying a journal needs, sanitizers included. */
constexpr size_t stack_size = 1 << 20;

void *MaskedThread::enter(void *self)
{
    auto thread = static_cast<MaskedThread *>(self);

    pthread_setname_np(pthread_self(), thread->name_);
    thread->run_();
    return nullptr;
}

Result<void> MaskedThread::start(const char *name, std::function<void()> run)
{
    sigset_t all, before;
    pthread_attr_t attributes;

    name_ = name;
    run_ = std::move(run);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stack_size);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int ret = pthread_create(&thread_, &attributes, enter, this);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    if (ret) {
        return fail(ret, "cannot start thread %s", name);
    }
    started_ = true;
    return {};
}

void MaskedThread::join()
{
    pthread_join(thread_, nullptr);
    started_ = false;
}

} /* namespace kvm_reset */
