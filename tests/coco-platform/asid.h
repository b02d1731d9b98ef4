/*
 * Address space ids and key ids: few, and held as long as their VM lives
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef COCO_ASID_H
#define COCO_ASID_H

#include <cstdint>
#include <memory>

namespace coco {

enum class AsidPool {
    Sev, /* plain SEV guests */
    Es,  /* SEV-ES and SEV-SNP guests */
    Tdx, /* private key ids */
};

/* Holds one id; gives it back when it is destroyed. */
class Asid {
public:
    /** Null if none is free. Numbers are ≥ 1. */
    static std::unique_ptr<Asid> take(AsidPool pool, uint64_t vm);
    ~Asid();
    Asid(const Asid &) = delete;
    Asid &operator=(const Asid &) = delete;

    uint32_t number() const { return number_; }

private:
    Asid(AsidPool pool, uint64_t vm, uint32_t number)
        : pool_(pool), vm_(vm), number_(number)
    {}

    AsidPool pool_;
    uint64_t vm_;
    uint32_t number_;
};

/** How many ids of the pool are held. */
uint32_t asids_in_use(AsidPool pool);

} // namespace coco

#endif
