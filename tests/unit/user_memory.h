/*
 * What an ioctl's argument points to, as the fake kernel reads it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_USER_MEMORY_H
#define TESTS_UNIT_USER_MEMORY_H

#include <cstdint>
#include <vector>

/* user<kvm_irqfd>(arg).gsi, to read or to write. */
template <class Struct> Struct &user(uintptr_t address)
{
    return *reinterpret_cast<Struct *>(address);
}

/* The same in a copy of the argument. */
template <class Struct> Struct &user(std::vector<uint8_t> &copy)
{
    return user<Struct>(uintptr_t(copy.data()));
}

/* The array that follows a struct with a count. */
template <class Element, class Struct> Element *after(Struct &head)
{
    return reinterpret_cast<Element *>(&head + 1);
}

#endif
