/*
 * KVM's structs with room for what follows them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_KVM_FLEXIBLE_H
#define TESTS_KVM_FLEXIBLE_H

#include <cstdlib>
#include <memory>

#include "kvm_abi.h"

/* On the heap and zero. */
template <class T> struct FreeIt {
    void operator()(T *what) const { free(what); }
};

template <class T> using Flexible = std::unique_ptr<T, FreeIt<T>>;

template <class T> Flexible<T> flexible(size_t elements, size_t element)
{
    return Flexible<T>(
        static_cast<T *>(calloc(1, sizeof(T) + elements * element)));
}

#endif
