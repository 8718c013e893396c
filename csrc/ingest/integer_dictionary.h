// Numbers ids in the order in which they first appear, in a stream of batches: what is known at the end of a batch
// keeps its number in the next.
//
// Cost: 4 bytes per value of the range for integers from 0 to 2^22, 32 to 64 bytes for each other distinct id; per id
// one look-up, a cache miss where the table exceeds the caches. Known ids are looked up in parallel; new ones are added
// by one thread, in the order of the stream, so that numbers do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <vector>

#include "ingest/ids.h"

namespace fastcf {

class IntegerDictionary {
  public:
    // Writes the number of each id to out[0, ids.size). Throws for strings, and where there are more than
    // kMaxDistinctIds.
    void encode(const IdArray& ids, std::int32_t* out, int n_threads);

    // The distinct ids; the position is the number.
    const std::vector<std::int64_t>& ids() const { return ids_; }

  private:
    struct Slot {
        std::int64_t id;
        std::int32_t number;  // -1 where empty
    };

    template <class Integer>
    void encode_integers(const Integer* ids, std::int64_t n, std::int32_t* out, int n_threads);
    template <class Integer>
    bool look_up(const Integer* ids, std::int64_t n, std::int32_t* out) const;
    std::int32_t number_of(std::int64_t id);
    std::size_t slot_of(std::int64_t id) const;
    void grow();

    std::vector<std::int64_t> ids_;
    std::vector<std::int32_t> small_;  // number by id, -1 where there is none
    std::vector<Slot> slots_;          // a power of two; at most half full
    std::int64_t n_slots_taken_ = 0;
};

}  // namespace fastcf
