/*
 * The fake kernel: what it was told to fail
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "fake_kernel.h"

void FakeKernel::fail(unsigned nth, int code)
{
    std::unique_lock lock(mutex_);
    failed_ = false;
    failure_ = {.countdown = nth, .code = code};
}

void FakeKernel::fail(Call call, unsigned nth, int code)
{
    std::unique_lock lock(mutex_);
    failed_ = false;
    failure_ = {.of_call = true, .call = call, .countdown = nth, .code = code};
}

void FakeKernel::fail(uint32_t request, unsigned nth, int code)
{
    std::unique_lock lock(mutex_);
    failed_ = false;
    failure_ = {
        .of_request = true, .request = request, .countdown = nth, .code = code};
}

void FakeKernel::fail_always(uint32_t request, int code)
{
    std::unique_lock lock(mutex_);
    failed_ = false;
    failure_ = {.of_request = true,
                .always = true,
                .request = request,
                .countdown = 1,
                .code = code};
}

void FakeKernel::fail_nothing()
{
    std::unique_lock lock(mutex_);
    failure_ = {};
}

bool FakeKernel::failed() const
{
    std::unique_lock lock(mutex_);
    return failed_;
}

unsigned FakeKernel::calls() const
{
    std::unique_lock lock(mutex_);
    return calls_;
}

/* 0, or the errno that this call has to fail with. */
int FakeKernel::refused(Call call, uint32_t request)
{
    calls_++;
    if (!failure_.countdown || (failure_.of_call && failure_.call != call) ||
        (failure_.of_request && failure_.request != request)) {
        return 0;
    }
    if (failure_.always) {
        failed_ = true;
        return failure_.code;
    }
    if (--failure_.countdown) {
        return 0;
    }
    failed_ = true;
    return failure_.code;
}
